"""Requests and answers as clients and API Gateway see them."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from runtime.http.authorizer_context import Context, context_of
from runtime.http.identity import Identity

FOREVER: Final = 9_999_999_999
"""Expiry of the simulated tokens, in seconds of the epoch."""
EVERYTHING: Final = (
    "payments",
    "refunds",
    "reports",
    "customers",
    "accounts",
    "transfers",
    "merchant",
)
"""All permissions of a merchant's own token."""


def token(merchant_id: str | None, *permissions: str, subject: str) -> Context:
    """What the authorizer passes on for a good token."""
    return context_of(Identity(subject, merchant_id, permissions, FOREVER))


OPERATOR: Final = token(None, "admin", subject="operator")


class ClientGone(Exception):
    """The client gave up; what it asked for may be done, now or later."""


@dataclass(frozen=True)
class HttpRequest:
    """A request as a client sends it.

    `credential` is what the authorizer makes of the client's token; `api_key` is a key that the
    authorizer itself has to check. With neither the request is one of a public route.
    """

    client: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    raw: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    credential: Context | None = None
    api_key: str | None = None
    operation: int = 0
    """Number of the client's operation: repetitions have the number of the first attempt."""

    @property
    def idempotency_key(self) -> str | None:
        """The key under which it may be sent again."""
        return self.headers.get("idempotency-key")

    @property
    def merchant_id(self) -> str | None:
        """Whose token it is; None for operators and on public routes."""
        return (self.credential or {}).get("merchant_id") or None


@dataclass(frozen=True)
class HttpResponse:
    """An answer. `by_gateway`: the function gave none, and API Gateway answers for it."""

    status: int
    body: Any
    headers: Mapping[str, str]
    text: str
    by_gateway: bool = False

    @property
    def replayed(self) -> bool:
        """Whether it is the stored answer to an earlier request with the same key."""
        return self.headers.get("Idempotent-Replayed") == "true"

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300


FUNCTION_FAILED: Final = HttpResponse(
    500,
    {"message": "Internal Server Error"},
    {},
    '{"message":"Internal Server Error"}',
    by_gateway=True,
)
"""What API Gateway answers for a function that crashed or whose environment died."""
GATEWAY_TIMEOUT: Final = HttpResponse(
    503,
    {"message": "Service Unavailable"},
    {},
    '{"message":"Service Unavailable"}',
    by_gateway=True,
)
"""What it answers after 30 seconds (API Gateway, "Quotas for HTTP APIs", integration timeout)."""


def event_of(request: HttpRequest, request_id: str, context: Context | None) -> dict[str, Any]:
    """The request in API Gateway's payload format 2.0, `context` being the authorizer's."""
    text: str | None
    coded = request.raw is not None
    if request.raw is not None:
        text = base64.b64encode(request.raw).decode()
    else:
        text = None if request.body is None else json.dumps(request.body)
    gateway: dict[str, Any] = {
        "requestId": request_id,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": request.client,
        },
        "stage": "$default",
        "domainName": "api.example.com",
    }
    if context is not None:
        gateway["authorizer"] = {"lambda": dict(context)}
    query = urlencode(request.query)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": query,
        "queryStringParameters": dict(parse_qsl(query, keep_blank_values=True)) or None,
        "headers": {"content-type": "application/json", **request.headers},
        "requestContext": gateway,
        "body": text,
        "isBase64Encoded": coded,
    }


def response_of(answer: Mapping[str, Any]) -> HttpResponse:
    """A function's answer as the client sees it."""
    text = answer["body"] or ""
    if answer.get("isBase64Encoded"):
        text = gzip.decompress(base64.b64decode(text)).decode()
    headers = answer["headers"]
    is_json = "json" in headers.get("Content-Type", "")
    body = json.loads(text) if is_json and text else text
    return HttpResponse(answer["statusCode"], body, headers, text)
