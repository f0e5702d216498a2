"""Turns a function's work into a handler for each execution environment.

Lambda runs one environment per process. The simulation runs many in one process, including old and
new deployments, so an environment must not share state with another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.functions.composition.services import FunctionServices

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ServicesT = TypeVar("ServicesT", bound=FunctionServices)
AnswerT = TypeVar("AnswerT")
Event = dict[str, Any]
Handler = Callable[[Event, LambdaContext], AnswerT]
"""A Lambda handler."""


def per_environment(
    work: Callable[[Event, LambdaContext, ServicesT], AnswerT],
) -> Callable[[Callable[[], ServicesT]], Handler[AnswerT]]:
    """Create `handler_for`: it builds the handler on the services of one execution environment.

    The services are requested at each event, so that they can be built at the first one.
    """

    def handler_for(services: Callable[[], ServicesT]) -> Handler[AnswerT]:
        def handler(event: Event, context: LambdaContext) -> AnswerT:
            built = services()
            built.begin(context)
            logger.append_keys(run_id=built.run_id)
            return work(event, context, built)

        return handler

    return handler_for


def recorded(
    work: Callable[[Event, LambdaContext, ServicesT], AnswerT],
) -> Callable[[Event, LambdaContext, ServicesT], AnswerT]:
    """The same work; how a run of a schedule ends is recorded for `GET /v1/operations`."""

    def recording(event: Event, context: LambdaContext, services: ServicesT) -> AnswerT:
        schedule = event.get("schedule")
        if schedule is None:
            return work(event, context, services)
        with services.recorded_run(schedule):
            return work(event, context, services)

    return recording


def scheduled(
    message: str, run: Callable[[ServicesT, str], DataclassInstance]
) -> Callable[[Callable[[], ServicesT]], Handler[Event]]:
    """Create `handler_for` of a scheduled function.

    Calls `run` with the services and the id of the run. Logs its report as `message` and returns
    it.
    """

    def work(event: Event, _: LambdaContext, services: ServicesT) -> Event:
        report = asdict(run(services, services.run_id))
        logger.info(message, schedule=event.get("schedule"), **report)
        return report

    return per_environment(recorded(work))
