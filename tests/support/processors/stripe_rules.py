"""Stripe's answers where localstripe differs: from Stripe's API reference, as plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

DECLINED_METHODS: Final[Mapping[str, tuple[str, str | None]]] = {
    "pm_card_authenticationRequired": ("authentication_required", "authentication_required"),
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", None),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
}
"""Stripe's test methods, with the `code` and `decline_code` of their error."""

AUTHENTICATED_METHODS: Final[Mapping[str, tuple[str, str | None] | None]] = {
    "pm_card_threeDSecure2Required": None,
    "pm_card_threeDSecureRequiredChargeDeclined": ("card_declined", "generic_decline"),
}
"""Stripe's test methods whose customer must authenticate, and how the card is declined after that.

https://docs.stripe.com/payments/3d-secure/authentication-flow, on testing.
"""

WRONG_KEY: Final = "sk_test_wrong"
RESTRICTED_KEY: Final = "rk_test_restricted"
_GONE_PARAMETER: Final = "payment_method_types"
_UNKNOWN_TO_LOCALSTRIPE: Final = (
    "cancellation_reason",
    "error_on_requires_action",
    "return_url",
    "statement_descriptor_suffix",
)


def error(code: str | None, message: str, **members: Any) -> Json:
    """The body of an error answer."""
    body = {"type": "invalid_request_error", "code": code, "message": message, **members}
    return {"error": {name: value for name, value in body.items() if value is not None}}


def declined(method: str) -> Json:
    """A card_error, in an answer and as stored in a PaymentIntent."""
    known = {**DECLINED_METHODS, **AUTHENTICATED_METHODS}[method]
    assert known is not None, f"{method} is not declined"
    code, decline_code = known
    message = f"Your card was declined: {decline_code or code}."
    return error(code, message, type="card_error", decline_code=decline_code)["error"]


def authentication_failed() -> Json:
    """`last_payment_error` of a PaymentIntent whose customer has failed to authenticate."""
    code = "payment_intent_authentication_failure"
    return error(code, "The provided PaymentMethod has failed authentication.")["error"]


def next_action(intent_id: str, return_url: str | None) -> Json:
    """`next_action` of a PaymentIntent that is `requires_action`.

    With a `return_url` the customer is redirected; without, Stripe.js authenticates in the page.
    https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action
    """
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    url = f"https://hooks.stripe.com/3d_secure_2/hosted?merchant=acct_1&payment_intent={intent_id}"
    redirect = {"return_url": return_url, "url": url}
    return {"type": "redirect_to_url", "redirect_to_url": redirect}


def key_problem(api_key: str) -> tuple[int, Json] | None:
    """Stripe's answer to a key that it does not know, or that lacks a permission."""
    if api_key == WRONG_KEY:
        return 401, error(None, f"Invalid API Key provided: {api_key}")
    if api_key == RESTRICTED_KEY:
        return 403, error(None, "The provided key does not have the required permissions")
    return None


def account_of_key(api_key: str) -> str:
    """An account for each key, unless a test sets another."""
    return "acct_" + hashlib.sha256(api_key.encode()).hexdigest()[:16]


def identity(
    method: str, target: str, api_key: str, accounts: Mapping[str, str]
) -> tuple[int, Json] | None:
    """Stripe's answer about the key itself: its account, and the mode of its balance."""
    if (method, target) == ("GET", "/v1/account"):
        account = accounts.get(api_key, account_of_key(api_key))
        return 200, {"id": account, "object": "account", "charges_enabled": True}
    if (method, target) == ("GET", "/v1/balance"):
        live = "_live_" in api_key
        return 200, {"object": "balance", "livemode": live, "available": [], "pending": []}
    return None


def refused_parameters(params: Mapping[str, str]) -> Json | None:
    """A parameter that Stripe's current API version no longer accepts."""
    if any(name.startswith(_GONE_PARAMETER) for name in params):
        return error("payment_method_types_no_longer_supported", "Not in this version")
    return None


def for_localstripe(params: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a PaymentIntent in the form of localstripe, which is older."""
    renamed = {
        name.replace("allowed_payment_method_types", _GONE_PARAMETER): value
        for name, value in params.items()
        if name not in _UNKNOWN_TO_LOCALSTRIPE
    }
    if renamed.get("payment_method") in {**DECLINED_METHODS, **AUTHENTICATED_METHODS}:
        return {**renamed, "payment_method": "pm_card_visa", "confirm": "false"}
    return renamed


def fee(amount: int) -> int:
    """2.9 % + 30, as Stripe charges for cards in the US."""
    return (amount * 29 + 500) // 1000 + 30
