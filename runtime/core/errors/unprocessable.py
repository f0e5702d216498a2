"""422: well formed, but not acceptable."""

from __future__ import annotations

from http import HTTPStatus

from runtime.core.errors.base import PlatformError


class Unprocessable(PlatformError):
    """Well formed, but not acceptable."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "unprocessable"
    title = "A value is not valid"


class InvalidValue(Unprocessable):
    """A field is missing, has the wrong type or is out of range."""

    code = "invalid_value"


class IdempotencyKeyReused(Unprocessable):
    """The key was used with a different payload."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used with another request"


class AmountTooLarge(Unprocessable):
    """Above the merchant's payment limit."""

    code = "amount_too_large"
    title = "The amount is too large"


class CardDataRefused(Unprocessable):
    """The request contains something that looks like a card number or a security code."""

    code = "card_data_refused"
    title = "The request contains card data"


class InactiveMerchant(Unprocessable):
    """The merchant may not accept payments."""

    code = "inactive_merchant"
    title = "The merchant is inactive"


class WrongProcessorMode(Unprocessable):
    """Test keys or the sandbox on a live stage, or live keys on a test stage."""

    code = "processor_mode"
    title = "The processor's mode does not match this stage"


class SummaryTooLarge(Unprocessable):
    """The range has more payments than one response can sum up."""

    code = "summary_too_large"
    title = "The time range has too many payments"


class ChainTooLong(Unprocessable):
    """More audit rows than one request verifies."""

    code = "chain_too_long"
    title = "The entity has too many audit rows"


class SameAccount(Unprocessable):
    """Source and destination accounts of a leg are the same."""

    code = "same_account"
    title = "Source and destination accounts must differ"


class InactiveAccount(Unprocessable):
    """The account is inactive or closed."""

    code = "inactive_account"
    title = "The account is not active"


class CurrencyMismatch(Unprocessable):
    """The account's currency differs from the transfer's."""

    code = "currency_mismatch"
    title = "The account has a different currency"


class InsufficientFunds(Unprocessable):
    """The account would go below its limit: balance minus held funds plus credit limit."""

    code = "insufficient_funds"
    title = "Insufficient funds"


class ExceedsHold(Unprocessable):
    """More than the held amount."""

    code = "exceeds_hold"
    title = "The amount exceeds the hold"


class TooManyMethods(Unprocessable):
    """The customer's limit of payment methods is reached."""

    code = "too_many_payment_methods"
    title = "The customer has too many payment methods"


class ActionNotApplicable(Unprocessable):
    """The action is not available for this settlement line; the detail lists those that are."""

    code = "action_not_applicable"
    title = "The action is not available for this settlement line"


class LineDoesNotFit(Unprocessable):
    """The settlement line does not match the transaction; the detail has both values."""

    code = "line_does_not_fit"
    title = "The settlement line does not match the transaction"
