"""API Gateway: authorizes, chooses the function, waits for it for 30 seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from runtime.http.authorizer_context import Context
from simulation.platform.functions import Functions
from simulation.platform.http import (
    FUNCTION_FAILED,
    GATEWAY_TIMEOUT,
    ClientGone,
    HttpRequest,
    HttpResponse,
    event_of,
    response_of,
)
from simulation.tasks import LambdaDied, TimedOut

TIMEOUT_SECONDS: Final = 30.0
"""API Gateway, "Quotas for HTTP APIs": maximum integration timeout."""


@dataclass
class Gateway:
    """The HTTP API in front of the functions `process` and `query`."""

    functions: Functions

    def send(self, request: HttpRequest, request_id: str, impatience: float | None) -> HttpResponse:
        """The answer to one request. Raises ClientGone after `impatience` seconds without one."""
        gone_first = impatience is not None and impatience < TIMEOUT_SECONDS
        try:
            context = request.credential
            if request.api_key is not None:
                context = self._authorized(request, request_id, impatience)
            event = event_of(request, request_id, context)
            name = "query" if request.method == "GET" else "process"
            answer = self.functions[name].invoke(
                event, impatience=impatience if gone_first else TIMEOUT_SECONDS
            )
        except LambdaDied:
            return FUNCTION_FAILED
        except TimedOut:
            if gone_first:
                raise ClientGone from None
            return GATEWAY_TIMEOUT
        except Exception:  # noqa: BLE001 - a handler that raises is a function that failed
            return FUNCTION_FAILED
        return response_of(answer)

    def _authorized(
        self, request: HttpRequest, request_id: str, impatience: float | None
    ) -> Context:
        bearer = {"authorization": f"Bearer {request.api_key}"}
        event: dict[str, Any] = {
            "version": "2.0",
            "type": "REQUEST",
            "routeKey": f"{request.method} {request.path}",
            "headers": bearer,
            "requestContext": {
                "requestId": request_id,
                "http": {"sourceIp": "192.0.2.1", "userAgent": request.client},
            },
        }
        answer = self.functions["authorizer"].invoke(event, impatience=impatience)
        context: Context = answer["context"]
        return context
