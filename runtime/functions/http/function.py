"""An HTTP function: maps the API's operations to handlers and formats the responses."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Generic

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
from runtime.core.log_messages import REFUSED, SERVED
from runtime.core.observability import logger
from runtime.functions.http.request import Links, authenticate, nothing_at, read_request
from runtime.functions.http.router import Match, Router
from runtime.functions.http.routes import Routes, ServicesT
from runtime.http.caller import Caller
from runtime.http.event import HttpEvent
from runtime.http.responses import (
    ERROR_TYPES,
    HttpResponse,
    StoredAnswer,
    problem,
    success,
)

JSON = "application/json"
PROBLEM = "application/problem+json"
_ROUTER: Final = Router(ENDPOINTS)
"""All endpoints, those of other functions as well: their methods are named in a 405."""


class HttpFunction(Generic[ServicesT]):
    """The Lambda handler of one API function in one execution environment.

    `services` is called at each event, so that they can be built at the first one. `now` is a clock
    that works before they are built, so that unauthenticated requests are refused first, and so is
    `error_types`: the form of what `type` of a problem begins with.
    """

    def __init__(
        self,
        routes: Routes[ServicesT],
        services: Callable[[], ServicesT],
        now: Callable[[], datetime] | None = None,
        error_types: Callable[[], str] | None = None,
    ) -> None:
        assert not routes.missing, f"operations without a handler: {sorted(routes.missing)}"
        self._operations = routes.operations
        self._services = services
        self._now = now or self._services_now
        self._error_types = error_types or (lambda: ERROR_TYPES)

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Handle an event from API Gateway."""
        request = HttpEvent.of(event)
        types = request.api_url(self._error_types())
        logger.append_keys(request_id=request.request_id)
        match = _ROUTER.match(request.method, request.path)
        endpoint = None if match is None else match.endpoint
        try:
            caller = authenticate(endpoint, request, self._now().timestamp())
        except PlatformError as refusal:  # before anything is built or read
            return _problem(refusal, request, types).payload()
        services = self._services()
        services.begin(context)
        if match is None or match.endpoint.operation not in self._operations:
            return _no_such_route(request, types).payload()
        return self._serve(match, caller, request, types, services).payload()

    def _services_now(self) -> datetime:
        return self._services().outside.now()

    def _serve(
        self,
        match: Match,
        caller: Caller | None,
        event: HttpEvent,
        types: str,
        services: ServicesT,
    ) -> HttpResponse:
        operation = match.endpoint.operation
        try:
            request = read_request(
                match.endpoint,
                event,
                match.members,
                caller,
                services.outside,
                Links(event.api_url(services.api_address), types),
            )
            answer = self._operations[operation](request, services)
        except PlatformError as error:
            if isinstance(error, DecryptionFailure):
                services.operational_alerts.decryption_failed(error)
            return _problem(error, event, types)
        except Exception:  # noqa: BLE001 - boundary: the caller gets a 500, the log the reason
            logger.exception("unexpected failure", operation=operation)
            return _problem(Internal("see the log"), event, types)
        if isinstance(answer, HttpResponse):
            return replace(answer, headers={**answer.headers, **_named(event)})
        if isinstance(answer, BaseModel):
            answer = success(HTTPStatus.OK, answer)
        database = services.store.usage.counts()
        logger.info(
            SERVED,
            operation=operation,
            status=answer.status,
            replayed=answer.replayed,
            database=database,
        )
        return _shape(answer.sent(types), event)


def error_types_of_environment() -> str:
    """The setting `error_types`; it is read before the services are built."""
    return os.environ.get("ERROR_TYPES") or ERROR_TYPES


def _no_such_route(event: HttpEvent, types: str) -> HttpResponse:
    path = echoed_path(event.path)
    allow = _ROUTER.methods_at(event.path)
    if allow and event.method not in allow:
        detail = f"{path} accepts {', '.join(allow)}, not {event.method}"
        return _problem(MethodNotAllowed(detail, allow=allow), event, types)
    detail = nothing_at(event.path)
    shorter = event.path.rstrip("/")
    if shorter != event.path and _ROUTER.methods_at(shorter):
        detail += f" (without the trailing slash: {echoed_path(shorter)})"
    return _problem(NotFound(detail), event, types)


def _problem(error: PlatformError, event: HttpEvent, types: str) -> HttpResponse:
    status = int(error.status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error(error.code, status=status, detail=error.detail, route=event.route_key)
    else:
        logger.info(REFUSED, route=event.route_key, code=error.code, status=status)
    answer = problem(error, instance=event.path, request_id=event.request_id, types=types)
    headers: dict[str, str] = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allow)
    if isinstance(error, Unauthorized) and error.challenge is not None:
        headers["WWW-Authenticate"] = error.challenge
    return _shape(answer, event, headers)


def _shape(
    answer: StoredAnswer, event: HttpEvent, extra: dict[str, str] | None = None
) -> HttpResponse:
    headers = {"Cache-Control": "no-store", **_named(event), **(extra or {})}
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    content_type = PROBLEM if answer.is_problem else JSON
    return HttpResponse(answer.status, content_type, answer.body, headers)


def _named(event: HttpEvent) -> dict[str, str]:
    return {"X-Request-Id": event.request_id}
