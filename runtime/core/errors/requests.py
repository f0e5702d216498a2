"""Rejected requests: format, authentication, permission and rate."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import Self

from runtime.core.errors.base import PlatformError, Retry
from runtime.core.fields import Timestamp


class BadRequest(PlatformError):
    """The request is not well formed."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"
    title = "The request cannot be read"
    retry = Retry.CHANGED
    advice = "Correct the request as `detail` says."


class MalformedJson(BadRequest):
    """The body is not a JSON object in UTF-8."""

    code = "malformed_json"
    title = "The request body is not a JSON object"
    retry = Retry.CHANGED
    advice = "Send a JSON object in UTF-8."


class UnknownField(BadRequest):
    """The body has a member that this route does not define."""

    code = "unknown_field"
    title = "The request has an unknown field"
    retry = Retry.CHANGED
    advice = "Remove or correct the field in `param`; put values of your own into `metadata`."


class UnknownParameter(BadRequest):
    """The query has a parameter that this route does not define."""

    code = "unknown_parameter"
    title = "The request has an unknown query parameter"
    retry = Retry.CHANGED
    advice = "Remove or correct the parameter in `param`."


class InvalidParameter(BadRequest):
    """A query parameter has the wrong format or occurs twice."""

    code = "invalid_parameter"
    title = "A query parameter is not valid"
    retry = Retry.CHANGED
    advice = "Correct the parameter in `param`."


class MissingIdempotencyKey(BadRequest):
    """A request that moves money has no Idempotency-Key."""

    code = "missing_idempotency_key"
    title = "An Idempotency-Key is required"
    retry = Retry.CHANGED
    advice = "Send an Idempotency-Key that is unique for what you want to do, and store it."


class ConflictingIdempotencyKeys(BadRequest):
    """Header and body have different idempotency keys, or the key is not valid."""

    code = "invalid_idempotency_key"
    title = "The Idempotency-Key is not valid"
    retry = Retry.CHANGED
    advice = "Send one valid key, in the header or in the body."


class BadCursor(BadRequest):
    """The cursor was not created by this list with these filters."""

    code = "bad_cursor"
    title = "The cursor is not valid"
    retry = Retry.CHANGED
    advice = "Start again without `cursor`; send a cursor only with the filters of its list."


class Unauthorized(PlatformError):
    """The request is not authenticated: the credential is missing or invalid.

    `challenge` is the response's WWW-Authenticate (RFC 6750 section 3). It has an error code only
    if a credential was sent, and never says why it is invalid.
    """

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    title = "A valid bearer token is required"
    retry = Retry.CHANGED
    advice = "Get a new token, or use a valid API key; then send the same request again."
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
    retry = Retry.CHANGED
    advice = "Check the webhook secret at the processor and in `processor_config`, and the clock."
    challenge = None


class Declined(PlatformError):
    """The processor refused the charge; the payment is recorded as failed."""

    status = HTTPStatus.PAYMENT_REQUIRED
    code = "declined"
    title = "The payment was declined"
    retry = Retry.NEW_KEY
    advice = (
        "Ask the customer for another payment method. If `retriable` is true, the same one "
        "may work later. The same key only repeats this answer."
    )

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
    retry = Retry.NEW_KEY
    advice = (
        "Return the money in another way, or try again later if `retriable` is true. The same"
        " key only repeats this answer."
    )


class Forbidden(PlatformError):
    """The token is valid but lacks the permission."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "The token does not permit this"
    retry = Retry.CHANGED
    advice = "Use a token or key with the permission that `detail` names."


class NotFound(PlatformError):
    """The resource does not exist or belongs to another merchant."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "The resource does not exist"
    retry = Retry.CHANGED
    advice = (
        "Check the id, and that the token belongs to the owner's merchant. What was created a"
        " moment ago is found by id at once, and in lists within seconds."
    )


class MethodNotAllowed(PlatformError):
    """The path exists, but not with this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "The path does not accept this method"
    retry = Retry.CHANGED
    advice = "Use one of the methods in the header Allow."

    def __init__(self, detail: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.allow = allow


class PayloadTooLarge(PlatformError):
    """The body exceeds the size limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "payload_too_large"
    title = "The request body is too large"
    retry = Retry.CHANGED
    advice = "Send less; `detail` has the limit."


class UnsupportedMediaType(PlatformError):
    """The body is not application/json."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "The request body must be application/json"
    retry = Retry.CHANGED
    advice = "Send the header `Content-Type: application/json`."


class Locked(PlatformError):
    """Locked after too many failed attempts, until it expires or an operator unlocks."""

    status = HTTPStatus.LOCKED
    code = "locked"
    title = "The customer or account is locked after failed attempts"
    retry = Retry.SAME_KEY
    advice = (
        "Wait until Retry-After has passed, or have the customer or account unlocked: "
        "`detail` names the route."
    )

    def __init__(
        self, locked: str, *, until: Timestamp, at: Timestamp, unlock: str, param: str | None
    ) -> None:
        """`locked`: such as `Customer cus_…`; `unlock`: the path of its unlock route, and for whom.

        `at` is the present time.
        """
        super().__init__(
            f"{locked} is locked until {until} after too many failed attempts; send the request "
            f"again then, or unlock it before with POST {unlock}",
            param=param,
        )
        left = datetime.fromisoformat(until) - datetime.fromisoformat(at)
        self.retry_after_seconds = max(1, ceil(left.total_seconds()))


class RateLimited(PlatformError):
    """The merchant's limit of payments per minute or day is reached."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    title = "Too many payments"
    retry = Retry.SAME_KEY
    advice = (
        "Wait until Retry-After has passed. An operator can raise the merchant's `rate_limits`."
    )

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class TooManyExports(RateLimited):
    """The owner's limit of queued and running exports is reached."""

    code = "too_many_exports"
    title = "Too many exports at once"
    retry = Retry.SAME_KEY
    advice = "Wait until another export is completed."
