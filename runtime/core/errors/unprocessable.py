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
    """A field is missing, has the wrong type or a value out of range."""

    code = "invalid_value"


class IdempotencyKeyReused(Unprocessable):
    """The key was used for another payload."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used with another request"


class AmountTooLarge(Unprocessable):
    """Above the merchant's largest payment."""

    code = "amount_too_large"
    title = "The amount is too large"


class CardDataRefused(Unprocessable):
    """Something in the request looks like a card number or a security code."""

    code = "card_data_refused"
    title = "The request contains card data"


class InactiveMerchant(Unprocessable):
    """The merchant may not take payments now."""

    code = "inactive_merchant"
    title = "The merchant is inactive"


class WrongProcessorMode(Unprocessable):
    """Test keys, or the sandbox, on a stage for people's money; or live keys on one for tests."""

    code = "processor_mode"
    title = "The processor's mode does not match this stage"


class SummaryTooLarge(Unprocessable):
    """More payments in the range than one answer adds up."""

    code = "summary_too_large"
    title = "The time range has too many payments"


class ChainTooLong(Unprocessable):
    """More audit rows than one answer verifies."""

    code = "chain_too_long"
    title = "The entity has too many audit rows"


class SameAccount(Unprocessable):
    """A leg from an account to itself moves nothing."""

    code = "same_account"
    title = "Source and destination accounts must differ"


class InactiveAccount(Unprocessable):
    """The account is inactive or closed."""

    code = "inactive_account"
    title = "The account is not active"


class CurrencyMismatch(Unprocessable):
    """The account has another currency than the transfer."""

    code = "currency_mismatch"
    title = "The account has a different currency"


class InsufficientFunds(Unprocessable):
    """The account would pass its floor: balance less what is held, plus its credit limit."""

    code = "insufficient_funds"
    title = "Insufficient funds"


class ExceedsHold(Unprocessable):
    """More than was held."""

    code = "exceeds_hold"
    title = "The amount exceeds the hold"


class TooManyMethods(Unprocessable):
    """The customer has as many payment methods as it may."""

    code = "too_many_payment_methods"
    title = "The customer has too many payment methods"


class ActionNotApplicable(Unprocessable):
    """This cannot be done about the settlement line; the detail says what can."""

    code = "action_not_applicable"
    title = "The action is not available for this settlement line"


class LineDoesNotFit(Unprocessable):
    """The settlement line is not about that transaction; the detail has both values."""

    code = "line_does_not_fit"
    title = "The settlement line does not match the transaction"
