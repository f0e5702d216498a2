"""Every error that leaves a room of the runtime, in one tree.

    PlatformError
    ├── BadRequest 400 ─ MalformedJson · UnknownField · UnknownParameter · InvalidParameter
    │                    · MissingIdempotencyKey · ConflictingIdempotencyKeys · BadCursor
    ├── Unauthorized 401 ─ BadSignature
    ├── Declined 402 ─ RefundFailed
    ├── Forbidden 403
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── Conflict 409 ─ IdempotencyInFlight · AlreadyExists · AlreadyPosted · AlreadyCanceled
    │                  · HoldExpired · BalanceNotZero · OpenHolds · AccountInUse
    │                  · StaleVersion · InvalidState · SecretsStillSign
    │                  · ProcessorAccountRemoved · ProcessorInUse
    │                  · AlreadyResolved · NotResolved
    ├── PayloadTooLarge 413
    ├── UnsupportedMediaType 415
    ├── Unprocessable 422 ─ InvalidValue · IdempotencyKeyReused · AmountTooLarge · CardDataRefused
    │                       · InactiveMerchant · SummaryTooLarge · SameAccount · InactiveAccount
    │                       · CurrencyMismatch · InsufficientFunds · ExceedsHold
    │                       · TooManyMethods · ChainTooLong · WrongProcessorMode
    │                       · ActionNotApplicable · LineDoesNotFit
    ├── Locked 423
    ├── RateLimited 429 ─ TooManyExports
    ├── Internal 500 ─ IntegrityError · KeyForgotten
    └── Unavailable 503 (retryable) ─ KeysUnavailable

    Not for a caller; each is caught by the service that can do something about it:
    AlreadyClaimed · StaleWrite · ProcessorUnknown · TouchesFolded · FailedBefore

`code` is stable and snake_case, `detail` is one sentence with the values that matter, `param` names
the field at fault. A service raises; only the HTTP layer knows how a problem document looks.
What a caller sent is put into a message by `runtime.echo.echoed` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Self

from runtime.echo import safe

if TYPE_CHECKING:
    from runtime.models.account import Account
    from runtime.models.idempotency import IdempotencyRecord


class PlatformError(Exception):
    """Base of what a caller may be told."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"
    retry_after_seconds: int | None = None

    def __init__(self, detail: str, *, param: str | None = None) -> None:
        self.detail = safe(detail)
        super().__init__(self.detail)
        self.param = param
        self.transfer_id: str | None = None
        """The failed transfer in which this refusal is recorded."""

    def extensions(self) -> dict[str, str | bool]:
        """Members that this error adds to its problem document."""
        return {} if self.transfer_id is None else {"transfer_id": self.transfer_id}


class BadRequest(PlatformError):
    """The request could not be understood."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"
    title = "The request could not be understood"


class MalformedJson(BadRequest):
    """The body is not a JSON object in UTF-8."""

    code = "malformed_json"


class UnknownField(BadRequest):
    """The body has a member that this route does not know."""

    code = "unknown_field"


class UnknownParameter(BadRequest):
    """The query has a parameter that this route does not know."""

    code = "unknown_parameter"


class InvalidParameter(BadRequest):
    """A query parameter has the wrong form, or is given twice."""

    code = "invalid_parameter"


class MissingIdempotencyKey(BadRequest):
    """A request that moves money came without an Idempotency-Key."""

    code = "missing_idempotency_key"


class ConflictingIdempotencyKeys(BadRequest):
    """Header and body name two different idempotency keys, or one that is no key."""

    code = "invalid_idempotency_key"


class BadCursor(BadRequest):
    """The cursor was not made by this list with these filters."""

    code = "bad_cursor"


class Unauthorized(PlatformError):
    """The request is not authenticated: no credential, or one that is not accepted.

    `challenge` is the answer's WWW-Authenticate (RFC 6750 section 3): it names an error only where
    a credential was sent, and never which one of the many.
    """

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    title = "A valid bearer token is required"
    challenge: str | None = 'Bearer realm="payments"'

    @classmethod
    def missing(cls) -> Self:
        """No credential was sent."""
        return cls("send Authorization: Bearer, with a token or an API key")

    @classmethod
    def invalid(cls) -> Self:
        """One was sent, and is not accepted."""
        error = cls("the bearer token is invalid or has expired; get a new one")
        error.challenge = f'{cls.challenge}, error="invalid_token"'
        return error


class BadSignature(Unauthorized):
    """A processor's notification is not signed as that processor signs, or far too old."""

    code = "bad_signature"
    title = "The notification's signature is not valid"
    challenge = None


class Declined(PlatformError):
    """The processor refused the charge; the payment is recorded as failed."""

    status = HTTPStatus.PAYMENT_REQUIRED
    code = "declined"
    title = "The payment was declined"

    def __init__(
        self, detail: str, *, decline_code: str, payment_id: str, retriable: bool = False
    ) -> None:
        super().__init__(detail)
        self.decline_code = decline_code
        self.payment_id = payment_id
        self.retriable = retriable

    def extensions(self) -> dict[str, str | bool]:
        """`decline_code`, `payment_id`, and whether trying again later may help."""
        return {
            "decline_code": self.decline_code,
            "payment_id": self.payment_id,
            "retriable": self.retriable,
        }


class RefundFailed(Declined):
    """The processor refused the refund; nothing was given back."""

    code = "refund_failed"
    title = "The refund failed"


class Forbidden(PlatformError):
    """The token is valid but lacks the permission."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "This token may not do that"


class NotFound(PlatformError):
    """No such thing, or not yours."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "No such resource"


class MethodNotAllowed(PlatformError):
    """The path exists, with other methods."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "This path does not take that method"

    def __init__(self, detail: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.allow = allow


class Conflict(PlatformError):
    """The resource is in another state than the request needs."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "The resource is in another state"


class IdempotencyInFlight(Conflict):
    """The first request with this key is still running."""

    code = "idempotency_in_flight"
    title = "The first request with this key is still running"
    retry_after_seconds = 1


class AlreadyExists(Conflict):
    """Something unique is taken."""

    code = "already_exists"


class AlreadyPosted(Conflict):
    """The transfer's money has moved; a correction is a new transfer."""

    code = "already_posted"
    title = "The transfer is processed already"


class AlreadyCanceled(Conflict):
    """The hold was given back before."""

    code = "already_canceled"
    title = "The hold is canceled already"


class HoldExpired(Conflict):
    """The hold's time is over; its money is given back."""

    code = "hold_expired"
    title = "The hold has expired"


class BalanceNotZero(Conflict):
    """The account that is to be closed still has money."""

    code = "balance_not_zero"
    title = "Only an account at zero can be closed"


class OpenHolds(Conflict):
    """Money is held from or towards the account that is to be closed."""

    code = "open_holds"
    title = "Holds on the account are open"


class AccountInUse(Conflict):
    """Payments are booked on the account that is to be closed."""

    code = "account_in_use"
    title = "The account is in use"


class StaleVersion(Conflict):
    """Somebody changed it since the caller read it: read it again, then repeat the change."""

    code = "stale_version"
    title = "It was changed meanwhile"


class InvalidState(Conflict):
    """A payment or processor event is where this step is not allowed; the detail says where."""

    code = "invalid_state"
    title = "The present state does not allow this"


class SecretsStillSign(Conflict):
    """As many replaced webhook secrets as there may be still sign; the detail says until when."""

    code = "secrets_still_sign"
    title = "Too many webhook secrets change over"


class ProcessorAccountRemoved(Conflict):
    """The account that the payment was sent to has no key here any more: nobody can ask it."""

    code = "processor_account_removed"
    title = "The key of the payment's processor account was removed"


class ProcessorInUse(Conflict):
    """Something at the processor account is open, or was not answered yet: its key is needed."""

    code = "processor_in_use"
    title = "The processor account is in use"


class AlreadyResolved(Conflict):
    """The settlement line needs no decision (any more); the detail says why."""

    code = "already_resolved"
    title = "The settlement line needs no decision"


class NotResolved(Conflict):
    """There is no decision about the settlement line that could be undone."""

    code = "not_resolved"
    title = "The settlement line has no decision to undo"


class PayloadTooLarge(PlatformError):
    """The body is larger than this API reads."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "payload_too_large"
    title = "The request body is too large"


class UnsupportedMediaType(PlatformError):
    """The body is not application/json."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "Send application/json"


class Unprocessable(PlatformError):
    """Well formed, but not acceptable."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "unprocessable"
    title = "The request is not acceptable"


class InvalidValue(Unprocessable):
    """A field is missing, has the wrong type or a value out of range."""

    code = "invalid_value"


class IdempotencyKeyReused(Unprocessable):
    """The key was used for another payload."""

    code = "idempotency_key_reused"


class AmountTooLarge(Unprocessable):
    """Above the merchant's largest payment."""

    code = "amount_too_large"


class CardDataRefused(Unprocessable):
    """Something in the request looks like a card number or a security code."""

    code = "card_data_refused"
    title = "Never send card numbers or security codes"


class InactiveMerchant(Unprocessable):
    """The merchant may not take payments now."""

    code = "inactive_merchant"


class WrongProcessorMode(Unprocessable):
    """Test keys, or the sandbox, on a stage for people's money; or live keys on one for tests."""

    code = "processor_mode"
    title = "The processor's mode does not match this stage"


class SummaryTooLarge(Unprocessable):
    """More payments in the range than one answer adds up."""

    code = "summary_too_large"


class ChainTooLong(Unprocessable):
    """More audit rows than one answer verifies."""

    code = "chain_too_long"


class SameAccount(Unprocessable):
    """A leg from an account to itself moves nothing."""

    code = "same_account"
    title = "The two accounts are one"


class InactiveAccount(Unprocessable):
    """The account is inactive or closed."""

    code = "inactive_account"
    title = "The account takes no transfers"


class CurrencyMismatch(Unprocessable):
    """The account has another currency than the transfer."""

    code = "currency_mismatch"
    title = "The account has another currency"


class InsufficientFunds(Unprocessable):
    """The account would pass its floor: balance less what is held, plus its credit limit."""

    code = "insufficient_funds"
    title = "The account has not enough funds"


class ExceedsHold(Unprocessable):
    """More than was held."""

    code = "exceeds_hold"
    title = "The amount is more than was held"


class TooManyMethods(Unprocessable):
    """The customer has as many payment methods as it may."""

    code = "too_many_payment_methods"
    title = "The customer has too many payment methods"


class ActionNotApplicable(Unprocessable):
    """This cannot be done about the settlement line; the detail says what can."""

    code = "action_not_applicable"
    title = "The action does not fit the settlement line"


class LineDoesNotFit(Unprocessable):
    """The settlement line is not about that transaction; the detail has both values."""

    code = "line_does_not_fit"
    title = "The settlement line does not match the transaction"


class Locked(PlatformError):
    """Too many failed attempts; time or an operator unlocks."""

    status = HTTPStatus.LOCKED
    code = "locked"
    title = "Locked after failed attempts"


class RateLimited(PlatformError):
    """The merchant's payments of this minute or day are used up."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    title = "Too many payments"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class TooManyExports(RateLimited):
    """So many exports of this owner wait or are being written."""

    code = "too_many_exports"
    title = "Too many exports at once"


class Internal(PlatformError):
    """A fault of ours; the detail is in the log, not in the answer."""


@dataclass(frozen=True, slots=True)
class SealedPlace:
    """Where an enciphered field stands: the key's parts joined by `/`. `owner` is a merchant."""

    table: str
    key: str
    attribute: str
    owner: str | None


class IntegrityError(Internal):
    """A ciphertext does not belong where it was found, or its key is gone."""

    code = "integrity_error"
    place: SealedPlace | None = None


class KeyForgotten(Internal):
    """The data key was deleted: what it enciphered cannot be opened any more, by anybody."""

    code = "key_forgotten"
    place: SealedPlace | None = None


Unopenable = IntegrityError | KeyForgotten
"""An enciphered field, or a data key, does not open; `place` is where, as far as is known."""


class Unavailable(PlatformError):
    """Busy or throttled for longer than this request had. Repeat it with the same key."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "Try again in a moment"
    retry_after_seconds = 1


class KeysUnavailable(Unavailable):
    """KMS does not answer, or the key is switched off: nothing can be enciphered or opened now."""

    code = "keys_unavailable"


class AlreadyClaimed(Exception):
    """Another request holds, or held, this idempotency key. `record` is its claim as stored."""

    def __init__(self, record: IdempotencyRecord) -> None:
        super().__init__("the idempotency key is claimed")
        self.record = record


class StaleWrite(Exception):
    """A condition failed on `table`: the row is not as it was read, or its lease is another's."""

    def __init__(self, table: str, detail: str) -> None:
        super().__init__(f"{table}: {detail}")
        self.table = table


class ProcessorUnknown(Exception):
    """The processor's answer did not arrive: charged or not, only it can say."""


class TouchesFolded(Exception):
    """A transfer met folded accounts, which it must touch otherwise. `accounts` as they stand."""

    def __init__(self, accounts: tuple[Account, ...]) -> None:
        super().__init__(f"folded: {', '.join(account.id for account in accounts)}")
        self.accounts = accounts


class FailedBefore(Exception):
    """The customer's last attempt failed: what begins now must end the count when it succeeds."""
