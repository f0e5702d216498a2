"""An HTTP function: maps the API's operations to handlers and formats the responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Generic

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from runtime.api.endpoints import ENDPOINTS
from runtime.core.echo import echoed_path
from runtime.core.errors import (
    DecryptionFailure,
    Internal,
    MethodNotAllowed,
    NotFound,
    PlatformError,
    Unauthorized,
)
from runtime.core.observability import logger
from runtime.functions.http.request import nothing_at, read_request
from runtime.functions.http.routes import Operation, Routes, ServicesT
from runtime.http.endpoint import Endpoint
from runtime.http.gateway_identity import caller_of
from runtime.http.responses import StoredAnswer, problem, success

JSON = "application/json"
PROBLEM = "application/problem+json"
_OPEN = tuple(endpoint for endpoint in ENDPOINTS if endpoint.public)


class HttpFunction(Generic[ServicesT]):
    """The Lambda handler of one API function in one execution environment.

    `services` is called at each event, so that they can be built at the first one. `now` is a clock
    that works before they are built, so that unauthenticated requests are refused first.
    """

    def __init__(
        self,
        routes: Routes[ServicesT],
        services: Callable[[], ServicesT],
        now: Callable[[], datetime] | None = None,
    ) -> None:
        assert not routes.missing, f"operations without a handler: {sorted(routes.missing)}"
        self._services = services
        self._now = now or self._services_now
        self._app = APIGatewayHttpResolver()
        self._app.not_found(self._no_such_route)
        for operation, work in routes.operations.items():
            endpoint = routes.endpoints[operation]
            rule = endpoint.path.replace("{", "<").replace("}", ">")
            self._app.route(rule, method=endpoint.method)(self._serving(endpoint, work))

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Handle an event from API Gateway."""
        logger.set_correlation_id(event.get("requestContext", {}).get("requestId"))
        refusal = _refuse_unauthenticated(event, self._now().timestamp())
        if refusal is not None:
            return _as_sent(_problem(refusal, APIGatewayProxyEventV2(event)))
        self._services().begin(context)
        return self._app.resolve(event, context)

    def _services_now(self) -> datetime:
        return self._services().outside.now()

    def _serving(
        self, endpoint: Endpoint, work: Operation[ServicesT]
    ) -> Callable[..., Response[str]]:
        def serve(**path: str) -> Response[str]:
            return self._serve(endpoint, work, path)

        return serve

    def _serve(
        self, endpoint: Endpoint, work: Operation[ServicesT], path: Mapping[str, str]
    ) -> Response[str]:
        # Powertools stores the event on a class: in the simulation, another environment may replace
        # it at the first call that leaves the process.
        event = self._app.current_event
        services = self._services()
        try:
            answer = work(read_request(endpoint, event, path, services.outside), services)
        except PlatformError as error:
            if isinstance(error, DecryptionFailure):
                services.operational_alerts.decryption_failed(error)
            return _problem(error, event)
        except Exception:  # noqa: BLE001 - boundary: the caller gets a 500, the log the reason
            logger.exception("unexpected failure", operation=endpoint.operation)
            return _problem(Internal("see the log"), event)
        if isinstance(answer, Response):
            return answer
        if isinstance(answer, BaseModel):
            answer = success(HTTPStatus.OK, answer)
        database = services.store.usage.counts()
        logger.info("served", operation=endpoint.operation, status=answer.status, database=database)
        return _shape(answer, event)

    def _no_such_route(self, _: Exception) -> Response[str]:
        event = self._app.current_event
        path = echoed_path(event.raw_path)
        methods = (e.method for e in ENDPOINTS if _same_path(e.path, event.raw_path))
        allow = tuple(dict.fromkeys(methods))
        if allow and event.http_method not in allow:
            detail = f"{path} accepts {', '.join(allow)}, not {event.http_method}"
            return _problem(MethodNotAllowed(detail, allow=allow), event)
        detail = nothing_at(event.raw_path)
        shorter = event.raw_path.rstrip("/")
        if shorter != event.raw_path and any(_same_path(e.path, shorter) for e in ENDPOINTS):
            detail += f" (without the trailing slash: {echoed_path(shorter)})"
        return _problem(NotFound(detail), event)


def _refuse_unauthenticated(event: dict[str, Any], now_seconds: float) -> PlatformError | None:
    """The error for a request without a verified identity; None if it may be routed.

    Checked before routing and before anything is built or read. Requests are refused by default:
    only public endpoints, by method and path, are served without an identity.
    """
    request = APIGatewayProxyEventV2(event)
    if any(e.method == request.http_method and _same_path(e.path, request.raw_path) for e in _OPEN):
        return None
    try:
        caller_of(request, now_seconds)
    except PlatformError as refusal:
        return refusal
    return None


def _problem(error: PlatformError, event: APIGatewayProxyEventV2) -> Response[str]:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error(error.code, detail=error.detail, route=event.route_key)
    else:
        logger.info("refused", code=error.code, status=int(error.status))
    answer = problem(error, instance=event.raw_path, request_id=event.request_context.request_id)
    headers: dict[str, str] = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allow)
    if isinstance(error, Unauthorized) and error.challenge is not None:
        headers["WWW-Authenticate"] = error.challenge
    return _shape(answer, event, headers)


def _shape(
    answer: StoredAnswer, event: APIGatewayProxyEventV2, extra: dict[str, str] | None = None
) -> Response[str]:
    headers: dict[str, Any] = {
        "Cache-Control": "no-store",
        "X-Request-Id": event.request_context.request_id,
        **(extra or {}),
    }
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    content_type = PROBLEM if answer.is_problem else JSON
    return Response(answer.status, content_type, answer.body, headers)


def _as_sent(answer: Response[str]) -> dict[str, Any]:
    """A response in the gateway's format (payload 2.0), built without the router."""
    return {
        "statusCode": answer.status_code,
        "headers": answer.headers,
        "body": answer.body,
        "isBase64Encoded": False,
    }


def _same_path(pattern: str, path: str) -> bool:
    wanted, given = pattern.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        part == actual or (part.startswith("{") and actual)
        for part, actual in zip(wanted, given, strict=True)
    )
