"""An HTTP request as API Gateway sends it to a function (payload format version 2.0)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from runtime.core.request_ids import request_id_of

DEFAULT_STAGE = "$default"
API_ADDRESS = "https://{domain}"
"""Where clients reach the API, with the parts of `HttpEvent.address`."""


@dataclass(frozen=True, slots=True)
class HttpEvent:
    """The parts of an event that the functions use, each read once.

    `path` is the path without the gateway's stage. Names of `headers` are in lower case. `query`
    has the decoded parameters; a repeated one has its values joined by commas, which is why
    `raw_query` is kept as well. `authorizer` is the context from the gateway's authorizer.
    `address` has the parts of the API's address: the gateway's own `domain` and `api_id`, and the
    `host` that the client called, which a client can choose.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    raw_query: str
    text: str
    is_base64: bool
    request_id: str
    route_key: str
    source_ip: str
    user_agent: str
    authorizer: Any
    address: Mapping[str, str]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """Read an event. Raises KeyError for one that does not come from an HTTP API."""
        context = event["requestContext"]
        http = context["http"]
        path: str = event["rawPath"]
        stage = context.get("stage", DEFAULT_STAGE)
        if stage != DEFAULT_STAGE:
            path = path.removeprefix(f"/{stage}")
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        return cls(
            method=http["method"],
            path=path,
            headers=headers,
            query=event.get("queryStringParameters") or {},
            raw_query=event.get("rawQueryString") or "",
            text=event.get("body") or "",
            is_base64=bool(event.get("isBase64Encoded")),
            request_id=request_id_of(context["requestId"]),
            route_key=event.get("routeKey") or "",
            source_ip=http.get("sourceIp") or "",
            user_agent=http.get("userAgent") or "",
            authorizer=context.get("authorizer"),
            address={
                "domain": context.get("domainName") or "",
                "api_id": context.get("apiId") or "",
                "host": headers.get("host", ""),
            },
        )

    def api_url(self, form: str = API_ADDRESS) -> str:
        """Where the client reached the API, without a path. `form`: as API_ADDRESS."""
        return form.format(**self.address)

    @property
    def body(self) -> bytes:
        """The body. Raises ValueError for bytes that are not UTF-8, and for broken base64."""
        if not self.is_base64:
            return self.text.encode()
        body = base64.b64decode(self.text)
        body.decode()
        return body
