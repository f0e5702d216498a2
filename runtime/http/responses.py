"""An answer as it is stored and repeated, with exact status and body, and as it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from runtime.core.echo import echoed_path
from runtime.core.errors import PlatformError
from runtime.http.event import API_ADDRESS
from runtime.http.problem import Problem

ERRORS_PATH: Final = "/v1/docs/errors"
"""The page with all codes, each under a heading with its own fragment."""
STORED_TYPES: Final = f"{ERRORS_PATH}#"
"""What the `type` of a problem begins with where answers are made and stored; the code follows.

It becomes absolute (RFC 9457 section 3.1.1) when the answer is sent, so that a stored answer does
not depend on the API's address (decision 0146).
"""
ERROR_TYPES: Final = f"{API_ADDRESS}{STORED_TYPES}"
"""What it begins with when it is sent, unless a stage has other documentation; see `HttpEvent`."""

_STORED_BEGINNING: Final = f'{{"type":"{STORED_TYPES}'


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """Status and JSON text; `replayed` if it is a repetition."""

    status: int
    body: str
    replayed: bool = False

    @property
    def is_problem(self) -> bool:
        """Whether the body is a problem document."""
        return self.status >= HTTPStatus.BAD_REQUEST

    def sent(self, types: str) -> StoredAnswer:
        """The answer as it is sent: `type` of a problem begins with `types`, which is absolute."""
        if not self.is_problem or not self.body.startswith(_STORED_BEGINNING):
            return self
        rest = self.body.removeprefix(_STORED_BEGINNING)
        return replace(self, body=f'{{"type":"{types}{rest}')

    def again(self) -> StoredAnswer:
        """The same answer, marked as repeated."""
        return replace(self, replayed=True)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response in full. `base64_encoded`: the body is base64 text, and the gateway decodes it.

    Without a `content_type` the body is empty, as in a 304.
    """

    status: int
    content_type: str | None
    body: str
    headers: Mapping[str, str]
    base64_encoded: bool = False

    def payload(self) -> dict[str, Any]:
        """The response in API Gateway's format (HTTP API, payload format version 2.0)."""
        headers = dict(self.headers)
        if self.content_type is not None:
            headers["Content-Type"] = self.content_type
        return {
            "statusCode": int(self.status),
            "headers": headers,
            "body": self.body,
            "isBase64Encoded": self.base64_encoded,
        }


def success(status: HTTPStatus, body: BaseModel) -> StoredAnswer:
    """An answer with a JSON body."""
    return StoredAnswer(int(status), body.model_dump_json())


def problem(
    error: PlatformError, *, instance: str, request_id: str, types: str = STORED_TYPES
) -> StoredAnswer:
    """The problem document of an error. An internal error is shown without its detail."""
    status = error.status
    internal = status is HTTPStatus.INTERNAL_SERVER_ERROR
    shown = {
        "type": types + error.code,
        "title": error.title,
        "status": int(status),
        "detail": f"An internal error occurred; report the request id {request_id}"
        if internal
        else error.detail,
        "instance": echoed_path(instance),
        "code": error.code,
        "param": error.param,
        "errors": [asdict(each) for each in error.errors] or None,
        "request_id": request_id,
    }
    document = Problem.model_validate({**shown, **error.extensions()})
    return StoredAnswer(int(status), document.model_dump_json(exclude_none=True))
