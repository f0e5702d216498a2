"""Errors of the client. Every refused request is an `ApiError`, whatever body came with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

MAX_BODY_CHARACTERS: Final = 500
"""How much of a body that is not a problem document is repeated in the error."""


class PaymentsError(Exception):
    """Any failure of this client."""


class ConnectionFailed(PaymentsError):
    """The API gave no answer. A request that changes something may have been carried out.

    Repeat it with the same `idempotency_key`, within 24 hours, to learn its outcome; never with
    another one. Later, list the payments with that key.
    """

    def __init__(self, detail: str, *, attempts: int, idempotency_key: str | None) -> None:
        super().__init__(detail)
        self.attempts = attempts
        self.idempotency_key = idempotency_key


class OutcomeUnknown(PaymentsError):
    """The processor has not confirmed the payment in time. The platform goes on asking.

    The payment may have been charged: read it again later, or wait for its webhook.
    """

    def __init__(self, payment_id: str, waited_seconds: float) -> None:
        super().__init__(
            f"The outcome of {payment_id} is still unknown after {waited_seconds:.0f} s. "
            "Read it again later or wait for its webhook; do not pay again."
        )
        self.payment_id = payment_id


class WebhookVerificationFailed(PaymentsError):
    """The webhook was not signed with the secret, is too old or too new, or is not an event."""


@dataclass(frozen=True)
class InvalidField:
    """One invalid field of a request."""

    param: str
    detail: str


class ApiError(PaymentsError):
    """The API refused the request. The attributes are those of its problem document (RFC 9457).

    `code` is stable, for programs; `detail` is one sentence, for people. `request_id` identifies
    the request to whoever runs the platform. Without a problem document, `code` is made from the
    status (`http_502`) and `body` has the beginning of what came instead.
    """

    def __init__(self, status: int, document: Mapping[str, Any], body: str = "") -> None:
        self.status = status
        self.code = _text(document, "code") or f"http_{status}"
        self.title = _text(document, "title")
        self.detail = _text(document, "detail") or f"The API answered {status} {_phrase(status)}"
        self.param = _text(document, "param")
        self.request_id = _text(document, "request_id")
        self.decline_code = _text(document, "decline_code")
        self.payment_id = _text(document, "payment_id")
        self.transfer_id = _text(document, "transfer_id")
        retriable = document.get("retriable")
        self.retriable = retriable if isinstance(retriable, bool) else None
        self.errors = _invalid_fields(document.get("errors"))
        self.body = body
        self.idempotency_key: str | None = None
        super().__init__(self.detail)

    def __str__(self) -> str:
        parts = [f"{self.status} {self.code}: {self.detail}"]
        parts += [f"param {self.param}"] if self.param else []
        parts += [f"request {self.request_id}"] if self.request_id else []
        return " · ".join(parts)


class InvalidRequest(ApiError):
    """400, 405, 413, 415 or 422: the request has to be changed. `errors` has all fields."""


class AuthenticationError(ApiError):
    """401: the token is missing, invalid or expired. Get a new one."""


class Declined(ApiError):
    """402: the processor declined a payment, or a refund failed. `decline_code` says why."""


class PermissionDenied(ApiError):
    """403: the token lacks the permission."""


class NotFound(ApiError):
    """404: the object does not exist, or belongs to another merchant."""


class Conflict(ApiError):
    """409: the current state of the object does not allow the request."""


class ResourceLocked(ApiError):
    """423: the account or customer is locked for a while."""


class RateLimited(ApiError):
    """429: too many requests, for longer than the client retries."""


class ServerError(ApiError):
    """5xx: the API failed, for longer than the client retries."""


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: InvalidRequest,
    401: AuthenticationError,
    402: Declined,
    403: PermissionDenied,
    404: NotFound,
    405: InvalidRequest,
    409: Conflict,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    423: ResourceLocked,
    429: RateLimited,
}


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error of a refused request. Accepts any body: JSON, text, binary data, or nothing.

    `headers` must be looked up without regard to case, as httpx does.
    """
    text = body.decode("utf-8", "replace")
    document = _document(text)
    is_problem = bool(_text(document, "code") and _text(document, "detail"))
    if not _text(document, "request_id"):
        # API Gateway names the request in a header when it refuses by itself.
        named = headers.get("x-request-id") or headers.get("apigw-requestid")
        document = {**document, **({"request_id": named} if named else {})}
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    if kind is AuthenticationError and not is_problem:
        document = {
            "detail": "The token is missing, invalid or expired",
            **document,
            "code": "unauthorized",
        }
    return kind(status, document, "" if is_problem else text[:MAX_BODY_CHARACTERS])


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def _invalid_fields(errors: object) -> tuple[InvalidField, ...]:
    if not isinstance(errors, list):
        return ()
    return tuple(
        InvalidField(_text(each, "param") or "", _text(each, "detail") or "")
        for each in errors
        if isinstance(each, dict)
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
