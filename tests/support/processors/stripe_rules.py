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

WRONG_KEY: Final = "sk_test_wrong"
RESTRICTED_KEY: Final = "rk_test_restricted"
_GONE_PARAMETER: Final = "payment_method_types"
_UNKNOWN_TO_LOCALSTRIPE: Final = ("error_on_requires_action", "statement_descriptor_suffix")


def error(code: str | None, message: str, **members: Any) -> Json:
    """The body of an error answer."""
    body = {"type": "invalid_request_error", "code": code, "message": message, **members}
    return {"error": {name: value for name, value in body.items() if value is not None}}


def declined(method: str) -> Json:
    """A card_error, in an answer and as stored in a PaymentIntent."""
    code, decline_code = DECLINED_METHODS[method]
    message = f"Your card was declined: {decline_code or code}."
    return error(code, message, type="card_error", decline_code=decline_code)["error"]


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
    """The parameters of a new PaymentIntent in the form of localstripe, which is older."""
    renamed = {
        name.replace("allowed_payment_method_types", _GONE_PARAMETER): value
        for name, value in params.items()
        if name not in _UNKNOWN_TO_LOCALSTRIPE
    }
    if renamed.get("payment_method") in DECLINED_METHODS:
        return {**renamed, "payment_method": "pm_card_visa", "confirm": "false"}
    return renamed


def fee(amount: int) -> int:
    """2.9 % + 30, as Stripe charges for cards in the US."""
    return (amount * 29 + 500) // 1000 + 30
