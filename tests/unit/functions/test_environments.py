"""Several execution environments of a function in one process share nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import greenlet

from runtime.core.errors import NotFound
from runtime.functions.composition.environments import per_environment
from runtime.functions.composition.real_outside import real_outside
from runtime.functions.composition.services import Invocation
from runtime.functions.http.function import HttpFunction
from runtime.functions.http.request import Request
from runtime.functions.http.routes import Routes
from runtime.http.problem import Health
from tests.support.http import Context, StubServices, http_event, token_of


class Calling(StubServices):
    """Services that let another environment serve a request while they serve one."""

    def __init__(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        super().__init__()
        self.meanwhile = meanwhile


def routes() -> Routes[Any]:
    """Every operation fails, after another environment has served a request."""
    made: Routes[Any] = Routes("query")

    def work(request: Request, services: Calling) -> Health:
        services.meanwhile()
        raise NotFound("gone", param=request.endpoint.operation)

    for operation in made.endpoints:
        made.handles(operation)(work)
    return made


def asked(handler: HttpFunction[Any], path: str) -> dict[str, Any]:
    event = http_event("GET", path, authorizer=token_of("mer_1"))
    answer = handler(event, Context())  # type: ignore[arg-type]
    assert answer["headers"]["X-Request-Id"] == f"req_{event['requestContext']['requestId']}"
    assert f'"instance":"{path}"' in answer["body"].replace(": ", ":")
    return answer


def test_a_request_keeps_its_own_event_while_another_environment_serves_one() -> None:
    table = routes()
    other = HttpFunction(table, Calling)
    services = Calling(lambda: asked(other, "/v1/payments/pay_2"))
    handler: HttpFunction[Any] = HttpFunction(table, lambda: services)
    assert asked(handler, "/v1/payments/pay_1")["statusCode"] == 404
    assert asked(handler, "/v1/nothing")["statusCode"] == 404


def test_a_requests_time_is_its_environments() -> None:
    late = Calling()
    late.outside = replace(real_outside(), now=lambda: datetime(2300, 1, 1, tzinfo=UTC))
    event = http_event("GET", "/v1/payments", authorizer=token_of("mer_1"))
    handler: HttpFunction[Any] = HttpFunction(routes(), lambda: late)
    assert handler(event, Context())["statusCode"] == 401, "the token has expired"  # type: ignore[arg-type]
    assert late.begun == 0
    arriving: HttpFunction[Any] = HttpFunction(routes(), lambda: late, real_outside().now)
    assert arriving(event, Context())["statusCode"] == 404, "a token is verified once, on arrival"  # type: ignore[arg-type]
    assert late.begun == 1


def test_services_are_requested_for_each_event_and_started_with_its_context() -> None:
    made: list[Any] = []

    def services() -> Any:
        made.append(SimpleNamespace(begin=begun.append, run_id="run_1"))
        return made[-1]

    begun: list[Any] = []
    handler = per_environment(lambda event, context, own: (event, own))(services)
    assert made == []
    context: Any = Context()
    assert handler({"n": 1}, context) == ({"n": 1}, made[0])
    assert handler({"n": 2}, context) == ({"n": 2}, made[1])
    assert begun == [context, context]


def an_invocation(seconds: float) -> Invocation:
    invocation = Invocation(lambda: 0.0)
    context: Any = Context(seconds)
    invocation.begin(context)
    return invocation


def test_a_deadline_applies_only_to_its_thread() -> None:
    invocation = an_invocation(60)
    with ThreadPoolExecutor(1) as pool, invocation.within(5):
        assert invocation.remaining_seconds() == 5
        with invocation.within(90):
            assert invocation.remaining_seconds() == 60, "never longer than the invocation"
        assert invocation.remaining_seconds() == 5
        assert pool.submit(invocation.remaining_seconds).result() == 60
    assert invocation.remaining_seconds() == 60


def test_a_deadline_applies_only_to_its_greenlet() -> None:
    invocation, main = an_invocation(60), greenlet.getcurrent()
    seen: list[float] = []

    def work() -> None:
        with invocation.within(5):
            main.switch()
            seen.append(invocation.remaining_seconds())

    worker = greenlet.greenlet(work)
    worker.switch()
    assert invocation.remaining_seconds() == 60, "the other one is inside its block"
    worker.switch()
    assert seen == [5]
