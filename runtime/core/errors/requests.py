"""Refusals of requests: their form, their sender, and how often they come."""

from __future__ import annotations

from http import HTTPStatus
from typing import Self

from runtime.core.errors.base import PlatformError


class BadRequest(PlatformError):
    """The request could not be understood."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"
    title = "The request cannot be read"


class MalformedJson(BadRequest):
    """The body is not a JSON object in UTF-8."""

    code = "malformed_json"
    title = "The request body is not a JSON object"


class UnknownField(BadRequest):
    """The body has a member that this route does not know."""

    code = "unknown_field"
    title = "The request has an unknown field"


class UnknownParameter(BadRequest):
    """The query has a parameter that this route does not know."""

    code = "unknown_parameter"
    title = "The request has an unknown query parameter"


class InvalidParameter(BadRequest):
    """A query parameter has the wrong form, or is given twice."""

    code = "invalid_parameter"
    title = "A query parameter is not valid"


class MissingIdempotencyKey(BadRequest):
    """A request that moves money came without an Idempotency-Key."""

    code = "missing_idempotency_key"
    title = "An Idempotency-Key is required"


class ConflictingIdempotencyKeys(BadRequest):
    """Header and body name two different idempotency keys, or one that is no key."""

    code = "invalid_idempotency_key"
    title = "The Idempotency-Key is not valid"


class BadCursor(BadRequest):
    """The cursor was not made by this list with these filters."""

    code = "bad_cursor"
    title = "The cursor is not valid"


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
        return cls("The Authorization header is missing; send a token or an API key as Bearer")

    @classmethod
    def invalid(cls) -> Self:
        """One was sent, and is not accepted."""
        error = cls("The bearer token is not valid or has expired; get a new one")
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
    title = "The token does not permit this"


class NotFound(PlatformError):
    """No such thing, or not yours."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "The resource does not exist"


class MethodNotAllowed(PlatformError):
    """The path exists, with other methods."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "The path does not accept this method"

    def __init__(self, detail: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.allow = allow


class PayloadTooLarge(PlatformError):
    """The body is larger than this API reads."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "payload_too_large"
    title = "The request body is too large"


class UnsupportedMediaType(PlatformError):
    """The body is not application/json."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "The request body must be application/json"


class Locked(PlatformError):
    """Too many failed attempts; time or an operator unlocks."""

    status = HTTPStatus.LOCKED
    code = "locked"
    title = "The customer or account is locked after failed attempts"


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
