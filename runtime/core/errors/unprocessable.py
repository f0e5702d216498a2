"""422: well formed, but not acceptable."""

from __future__ import annotations

from http import HTTPStatus

from runtime.core.errors.base import PlatformError, Retry


class Unprocessable(PlatformError):
    """Well formed, but not acceptable."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "unprocessable"
    title = "A value is not valid"
    retry = Retry.CHANGED
    advice = "Correct the request as `detail` says."


class InvalidValue(Unprocessable):
    """A field is missing, has the wrong type or is out of range."""

    code = "invalid_value"
    retry = Retry.CHANGED
    advice = "Correct the fields in `errors`."


class IdempotencyKeyReused(Unprocessable):
    """The key was used with a different payload."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used with another request"
    retry = Retry.NEW_KEY
    advice = "Use a new key for another request; to repeat the first one, send exactly its body."


class AmountTooLarge(Unprocessable):
    """Above the merchant's payment limit."""

    code = "amount_too_large"
    title = "The amount is too large"
    retry = Retry.CHANGED
    advice = "Send a smaller amount; `detail` has the limit."


class CardDataRefused(Unprocessable):
    """The request contains something that looks like a card number or a security code."""

    code = "card_data_refused"
    title = "The request contains card data"
    retry = Retry.CHANGED
    advice = (
        "Send the processor's token instead, and remove the card number from your systems and logs."
    )


class InactiveMerchant(Unprocessable):
    """The merchant may not accept payments."""

    code = "inactive_merchant"
    title = "The merchant is inactive"
    retry = Retry.CHECK
    advice = "Ask an operator to activate the merchant."


class WrongProcessorMode(Unprocessable):
    """Test keys or the sandbox on a live stage, or live keys on a test stage."""

    code = "processor_mode"
    title = "The processor's mode does not match this stage"
    retry = Retry.CHANGED
    advice = "Use keys of the mode of this stage: test or live."


class SummaryTooLarge(Unprocessable):
    """The range has more payments than one response can sum up."""

    code = "summary_too_large"
    title = "The time range has too many payments"
    retry = Retry.CHANGED
    advice = "Ask for a shorter period, or export the payments."


class ChainTooLong(Unprocessable):
    """More audit rows than one request verifies."""

    code = "chain_too_long"
    title = "The entity has too many audit rows"
    retry = Retry.CHANGED
    advice = "Verify the chain offline: docs/audit.md says how."


class SameAccount(Unprocessable):
    """Source and destination accounts of a leg are the same."""

    code = "same_account"
    title = "Source and destination accounts must differ"
    retry = Retry.CHANGED
    advice = "Name two different accounts."


class InactiveAccount(Unprocessable):
    """The account is inactive or closed."""

    code = "inactive_account"
    title = "The account is not active"
    retry = Retry.NEW_KEY
    advice = "Use another account, or have this one activated; a closed one stays closed."


class CurrencyMismatch(Unprocessable):
    """The account's currency differs from the transfer's."""

    code = "currency_mismatch"
    title = "The account has a different currency"
    retry = Retry.NEW_KEY
    advice = "Use accounts of the transfer's currency."


class InsufficientFunds(Unprocessable):
    """The account would go below its limit: balance minus held funds plus credit limit."""

    code = "insufficient_funds"
    title = "Insufficient funds"
    retry = Retry.NEW_KEY
    advice = "Add funds, or send a smaller amount, with a new key: this one repeats the answer."


class ExceedsHold(Unprocessable):
    """More than the held amount."""

    code = "exceeds_hold"
    title = "The amount exceeds the hold"
    retry = Retry.CHANGED
    advice = "Post at most the held amount."


class TooManyMethods(Unprocessable):
    """The customer's limit of payment methods is reached."""

    code = "too_many_payment_methods"
    title = "The customer has too many payment methods"
    retry = Retry.CHECK
    advice = "Remove a payment method of the customer first."


class ActionNotApplicable(Unprocessable):
    """The action is not available for this settlement line; the detail lists those that are."""

    code = "action_not_applicable"
    title = "The action is not available for this settlement line"
    retry = Retry.CHANGED
    advice = "Choose one of the actions that `detail` lists."


class LineDoesNotFit(Unprocessable):
    """The settlement line does not match the transaction; the detail has both values."""

    code = "line_does_not_fit"
    title = "The settlement line does not match the transaction"
    retry = Retry.CHANGED
    advice = "Link the line to a transaction with its amount and currency."
