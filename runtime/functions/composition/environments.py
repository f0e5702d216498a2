"""From what a function does with an event to its handler in each execution environment.

Lambda runs one environment per process. A simulation runs many in one, old and new deployments
among them: nothing that an environment builds is kept where another one would find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.functions.composition.services import FunctionServices

ServicesT = TypeVar("ServicesT", bound=FunctionServices)
AnswerT = TypeVar("AnswerT")
Event = dict[str, Any]
Handler = Callable[[Event, LambdaContext], AnswerT]
"""As Lambda calls it."""


def per_environment(
    work: Callable[[Event, LambdaContext, ServicesT], AnswerT],
) -> Callable[[Callable[[], ServicesT]], Handler[AnswerT]]:
    """`handler_for` of a function: its handler on the services of one execution environment.

    The services are asked for at each event, so that they can be built at the first one.
    """

    def handler_for(services: Callable[[], ServicesT]) -> Handler[AnswerT]:
        def handler(event: Event, context: LambdaContext) -> AnswerT:
            built = services()
            built.begin(context)
            return work(event, context, built)

        return handler

    return handler_for
