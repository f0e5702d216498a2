"""Rejected requests: format, authentication, permission and rate."""

from __future__ import annotations

from http import HTTPStatus
from typing import Self

from runtime.core.errors.base import PlatformError


class BadRequest(PlatformError):
    """The request is not well formed."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"
    title = "The request cannot be read"


class MalformedJson(BadRequest):
    """The body is not a JSON object in UTF-8."""

    code = "malformed_json"
    title = "The request body is not a JSON object"


class UnknownField(BadRequest):
    """The body has a member that this route does not define."""

    code = "unknown_field"
    title = "The request has an unknown field"


class UnknownParameter(BadRequest):
    """The query has a parameter that this route does not define."""

    code = "unknown_parameter"
    title = "The request has an unknown query parameter"


class InvalidParameter(BadRequest):
    """A query parameter has the wrong format or occurs twice."""

    code = "invalid_parameter"
    title = "A query parameter is not valid"


class MissingIdempotencyKey(BadRequest):
    """A request that moves money has no Idempotency-Key."""

    code = "missing_idempotency_key"
    title = "An Idempotency-Key is required"


class ConflictingIdempotencyKeys(BadRequest):
    """Header and body have different idempotency keys, or the key is not valid."""

    code = "invalid_idempotency_key"
    title = "The Idempotency-Key is not valid"


class BadCursor(BadRequest):
    """The cursor was not created by this list with these filters."""

    code = "bad_cursor"
    title = "The cursor is not valid"


class Unauthorized(PlatformError):
    """The request is not authenticated: the credential is missing or invalid.

    `challenge` is the response's WWW-Authenticate (RFC 6750 section 3). It has an error code only
    if a credential was sent, and never says why it is invalid.
    """

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    title = "A valid bearer token is required"
    challenge: str | None = 'Bearer realm="payments"'

    @classmethod
    def missing(cls) -> Self:
        """Without a credential."""
        return cls("The Authorization header is missing; send a token or an API key as Bearer")

    @classmethod
    def invalid(cls) -> Self:
        """With an invalid credential."""
        error = cls("The bearer token is not valid or has expired; get a new one")
        error.challenge = f'{cls.challenge}, error="invalid_token"'
        return error


class BadSignature(Unauthorized):
    """A processor notification has an invalid signature or is too old."""

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
        """`decline_code`, `payment_id`, and whether a later retry may succeed."""
        return {
            "decline_code": self.decline_code,
            "payment_id": self.payment_id,
            "retriable": self.retriable,
        }


class RefundFailed(Declined):
    """The processor declined the refund; no money was returned."""

    code = "refund_failed"
    title = "The refund failed"


class Forbidden(PlatformError):
    """The token is valid but lacks the permission."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "The token does not permit this"


class NotFound(PlatformError):
    """The resource does not exist or belongs to another merchant."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "The resource does not exist"


class MethodNotAllowed(PlatformError):
    """The path exists, but not with this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "The path does not accept this method"

    def __init__(self, detail: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.allow = allow


class PayloadTooLarge(PlatformError):
    """The body exceeds the size limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "payload_too_large"
    title = "The request body is too large"


class UnsupportedMediaType(PlatformError):
    """The body is not application/json."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "The request body must be application/json"


class Locked(PlatformError):
    """Locked after too many failed attempts, until it expires or an operator unlocks."""

    status = HTTPStatus.LOCKED
    code = "locked"
    title = "The customer or account is locked after failed attempts"


class RateLimited(PlatformError):
    """The merchant's limit of payments per minute or day is reached."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    title = "Too many payments"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class TooManyExports(RateLimited):
    """The owner's limit of queued and running exports is reached."""

    code = "too_many_exports"
    title = "Too many exports at once"
