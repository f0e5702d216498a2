"""Requests as JSON, and their answers as botocore returns and raises them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final

import orjson
from botocore.exceptions import ClientError

from runtime.aws.transport import Response

REQUEST_ID: Final = "x-amzn-requestid"


class DeclaredErrors:
    """The errors that an API's operations declare.

    `members` are those that botocore puts into an error's response, by its code. `exceptions` is
    what a botocore client has under that name.
    """

    def __init__(self, members: Mapping[str, tuple[str, ...]]) -> None:
        self.members = members
        self.types: Mapping[str, type[ClientError]] = {
            code: type(code, (ClientError,), {}) for code in members
        }
        self.exceptions: Any = SimpleNamespace(ClientError=ClientError, **self.types)


_PHRASES: Final[Mapping[int, str]] = {int(status): status.phrase for status in HTTPStatus}

_SKEW_CODES: Final = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Errors that a wrong clock may cause, as the AWS SDKs list them."""
_MIN_SKEW: Final = timedelta(minutes=4)
"""Signatures are valid for five minutes; a smaller skew has another cause."""


def _as_base64(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} cannot be sent to AWS")


_encoder: Final = json.JSONEncoder(
    separators=(",", ":"), check_circular=False, allow_nan=False, default=_as_base64
)


def request_body(request: Mapping[str, Any]) -> bytes:
    """The JSON document of a request.

    orjson takes 8 µs for a transfer's, Python's encoder 49. What orjson refuses is left to Python:
    text with half of a surrogate pair, which AWS refuses with an answer of its own.
    """
    try:
        return orjson.dumps(request, default=_as_base64)
    except orjson.JSONEncodeError:
        return _encoder.encode(request).encode("ascii")


def parsed(document: bytes) -> Any:
    """A JSON document without null members, and with DynamoDB's binary values as bytes.

    As botocore has it. Raises ValueError if it is not JSON.
    """
    # Most answers need no change; calling a function for each object takes five times as long.
    if b'"B"' in document or b'"BS"' in document or b"null" in document:
        return json.loads(document.decode(), object_hook=_typed)
    return orjson.loads(document)


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    """An attribute named B or BS is not confused with a binary value: its value is an object."""
    for name, content in tuple(value.items()):
        if content is None:
            del value[name]
        elif name == "B" and type(content) is str:
            value[name] = b64decode(content)
        elif name == "BS" and type(content) is list:
            value[name] = [b64decode(member) for member in content]
    return value


def answer_of(response: Response, repeated: int) -> dict[str, Any]:
    """The answer of a successful operation. Raises ValueError if it is not a JSON object."""
    answer = parsed(response.body)
    if type(answer) is not dict:
        raise ValueError("the answer is not a JSON object")
    answer["ResponseMetadata"] = _metadata(response, repeated)
    return answer


def error_of(
    response: Response,
    operation: str,
    repeated: int,
    secret: str | None,
    declared: DeclaredErrors,
) -> ClientError:
    """The exception for an error that AWS answered, without `secret`.

    A rejected signature is answered with all that was signed, the session token included.
    """
    code, message, body = _code_and_message(response.status, response.body)
    if secret:
        message = message.replace(secret, "***")
    members = ((name, body.get(name)) for name in declared.members.get(code, ()))
    answer: Any = {
        "Error": {"Message": message, "Code": code},
        "ResponseMetadata": _metadata(response, repeated),
        **{name: value for name, value in members if value is not None},
    }
    return declared.types.get(code, ClientError)(answer, operation)


def _code_and_message(status: int, document: bytes) -> tuple[str, str, Mapping[str, Any]]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and _is_generic(document):
        return str(status), _PHRASES.get(status, ""), {}
    try:
        body = parsed(document) if document else {}
    except (ValueError, RecursionError):
        body = {"message": document.decode(errors="replace")}
    if type(body) is not dict:
        body = {}
    # "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
    code = str(body.get("__type", status)).partition(":")[0].rpartition("#")[2]
    return code, str(body.get("message", body.get("Message", ""))), body


def _is_generic(document: bytes) -> bool:
    """Whether a proxy or load balancer wrote the body of a 5xx response."""
    text = document.strip()
    return not text or text.startswith(b"<html>")


def _metadata(response: Response, repeated: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "HTTPStatusCode": response.status,
        "HTTPHeaders": response.headers,
        "RetryAttempts": repeated,
    }
    if (request_id := response.headers.get(REQUEST_ID)) is not None:
        metadata["RequestId"] = request_id
    return metadata


def clock_skew(error: ClientError, signed_at: datetime) -> timedelta | None:
    """How far AWS's clock was ahead of `signed_at`, if that explains `error`."""
    answer = error.response
    if answer["Error"]["Code"] not in _SKEW_CODES:
        return None
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        skew = parsedate_to_datetime(date).astimezone(UTC) - signed_at
    except ValueError:
        return None
    return skew if abs(skew) >= _MIN_SKEW else None
