"""Map Stripe's answers and errors to ours; docs/processors.md describes the mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import stripe
from pydantic import ValidationError

from runtime.core.errors import ProcessorUnknown
from runtime.payments.processors.stripe.amounts import from_stripe
from runtime.payments.processors.stripe.shapes import (
    BalanceTransaction,
    Charge,
    ErrorBody,
    Failure,
    PaymentIntent,
    Refund,
)
from runtime.payments.rules import (
    CANCELED_AT_PROCESSOR,
    ActionRequired,
    Approved,
    ProcessorAnswer,
    Refused,
)

CANCELED: Final = CANCELED_AT_PROCESSOR
"""Stripe's status of a canceled PaymentIntent, which is also our decline code for it."""
REQUIRES_ACTION: Final = "requires_action"
UNCONFIRMED: Final = frozenset(
    {"requires_payment_method", "requires_confirmation", REQUIRES_ACTION}
)
"""Statuses in which nothing is charged yet, but a confirmation could still charge."""

_STRIPE_DECLINES: Final[Mapping[str, tuple[str, ...]]] = {
    "authentication_required": (
        "authentication_required",
        "authentication_not_handled",
        "requires_action_not_handled",
    ),
    "authentication_failed": ("payment_intent_authentication_failure",),
    "card_not_supported": (
        "card_not_supported",
        "currency_not_supported",
        "not_permitted",
        "service_not_allowed",
        "transaction_not_allowed",
    ),
    "duplicate_transaction": ("duplicate_transaction",),
    "expired_card": ("expired_card", "invalid_expiry_month", "invalid_expiry_year"),
    "fraudulent": (
        "fraudulent",
        "highest_risk_level",
        "lost_card",
        "merchant_blacklist",
        "pickup_card",
        "restricted_card",
        "security_violation",
        "stolen_card",
    ),
    "incorrect_address": ("incorrect_address", "incorrect_zip"),
    "incorrect_cvc": ("incorrect_cvc", "invalid_cvc"),
    "incorrect_number": ("incorrect_number", "invalid_number"),
    "incorrect_pin": (
        "incorrect_pin",
        "invalid_pin",
        "offline_pin_required",
        "online_or_offline_pin_required",
        "pin_try_exceeded",
    ),
    "insufficient_funds": ("insufficient_funds",),
    "invalid_account": ("invalid_account", "new_account_information_available"),
    "invalid_amount": ("invalid_amount", "invalid_charge_amount"),
    "issuer_unavailable": ("issuer_not_available",),
    "payment_stopped": (
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stop_payment_order",
    ),
    "processing_error": ("processing_error", "reenter_transaction"),
    "try_again_later": ("approve_with_id", "try_again_later"),
    "velocity_exceeded": ("card_velocity_exceeded", "withdrawal_count_limit_exceeded"),
}
DECLINE_CODES: Final[Mapping[str, str]] = {
    theirs: ours for ours, several in _STRIPE_DECLINES.items() for theirs in several
}
"""Our decline codes by Stripe's. All other codes are GENERIC_DECLINE."""
GENERIC_DECLINE: Final = "generic_decline"

_METHOD_PARAMETERS: Final = ("customer", "payment_method")
_MAX_TEXT: Final = 200
_NOT_EXECUTED: Final = (
    stripe.CardError,
    stripe.InvalidRequestError,
    stripe.AuthenticationError,
    stripe.PermissionError,
)
"""Errors after which Stripe has certainly done nothing."""


def is_certain(error: stripe.StripeError) -> bool:
    """Whether Stripe has certainly done nothing. Otherwise the outcome is unknown."""
    return isinstance(error, _NOT_EXECUTED)


def unknown(error: stripe.StripeError) -> ProcessorUnknown:
    """The error for an unknown outcome. Its text contains nothing of the request."""
    parts = (error.http_status, failure_of(error).code, error.request_id)
    details = ", ".join(str(part) for part in parts if part)
    name = type(error.__cause__ or error).__name__
    return ProcessorUnknown(f"Stripe: {name} ({details})" if details else f"Stripe: {name}")


def failure_of(error: stripe.StripeError) -> Failure:
    """The error object in Stripe's response; an empty one if there is none."""
    try:
        return ErrorBody.model_validate(error.json_body).error
    except ValidationError:
        return Failure()


def refusal(error: stripe.StripeError, rejected: str) -> Refused:
    """The refusal for an error. `rejected`: the code if the error gives no more specific one.

    Raises ProcessorUnknown unless the error is certain.
    """
    if not is_certain(error):
        raise unknown(error) from None
    failure = failure_of(error)
    charge_id = failure.payment_intent.id if failure.payment_intent else None
    if isinstance(error, stripe.CardError):
        return declined(failure, charge_id)
    if isinstance(error, stripe.InvalidRequestError):
        code = "invalid_payment_method" if failure.param in _METHOD_PARAMETERS else rejected
        # Stripe's own message may repeat request parameters, such as the payment method's token.
        why = ", ".join(part for part in (failure.code, failure.param) if part) or "no reason given"
        return Refused(charge_id, code, _short(f"Stripe rejected the request: {why}"))
    text = "Stripe rejected the merchant's API key for this request"
    return Refused(charge_id, "processor_configuration", text)


def declined(failure: Failure, charge_id: str | None) -> Refused:
    """The refusal for a declined card, with Stripe's message for customers."""
    known = (DECLINE_CODES.get(theirs or "") for theirs in (failure.decline_code, failure.code))
    code = next((ours for ours in known if ours), GENERIC_DECLINE)
    return Refused(charge_id, code, _short(failure.message or "The card was declined"))


def charge_answer(intent: PaymentIntent) -> ProcessorAnswer:
    """The outcome of a charge. Raises ProcessorUnknown while Stripe is still processing it.

    An intent with an `UNCONFIRMED` status and no error has to be canceled first.
    """
    if intent.status in ("succeeded", "requires_capture"):
        return Approved(intent.id, fee_minor(intent))
    if intent.status == CANCELED:
        return Refused(intent.id, CANCELED, "The charge was canceled at Stripe")
    if intent.last_payment_error is not None and intent.status in UNCONFIRMED:
        return declined(intent.last_payment_error, intent.id)
    raise ProcessorUnknown(f"Stripe: {intent.id} is {intent.status}")


def required_action(intent: PaymentIntent) -> ActionRequired:
    """What the customer has to do: follow the URL, or let Stripe.js do it with the secret."""
    action = intent.next_action
    if action is None:
        raise ProcessorUnknown(f"Stripe: {intent.id} requires an action and does not say which")
    redirect = action.redirect_to_url
    url = None if redirect is None else redirect.url
    return ActionRequired(intent.id, action.type, url, intent.client_secret)


def refund_answer(refund: Refund) -> ProcessorAnswer:
    """The outcome of a refund. Raises ProcessorUnknown while it is pending."""
    if refund.status == "succeeded":
        return Approved(refund.id, fee_minor=0)
    if refund.status in ("failed", CANCELED):
        why = refund.failure_reason or refund.status
        return Refused(refund.id, "refund_rejected", _short(f"The refund failed: {why}"))
    why = f" ({refund.pending_reason})" if refund.pending_reason else ""
    raise ProcessorUnknown(f"Stripe: {refund.id} is {refund.status}{why}")


def fee_minor(intent: PaymentIntent) -> int:
    """Stripe's fee in minor units of the charge's currency; 0 if it is unknown.

    It is unknown before the capture, and if the merchant's balance has another currency.
    """
    charge = intent.latest_charge
    if not isinstance(charge, Charge) or not isinstance(
        charge.balance_transaction, BalanceTransaction
    ):
        return 0
    moved = charge.balance_transaction
    if moved.currency.upper() != intent.currency.upper():
        return 0
    return max(0, from_stripe(moved.fee, intent.currency.upper()))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
