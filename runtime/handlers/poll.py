"""The daily schedule that asks processors for disputes and failed refunds that no event told."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.poll import PollServices, poll_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.event_poll import poll


def poll_processors(event: Event, context: LambdaContext, services: PollServices) -> dict[str, Any]:
    """One run, which may be a part of a round; its report is the answer."""
    report = poll(services.poll_dependencies, context.aws_request_id)
    logger.info("polled", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(poll_processors)
handler = handler_for(poll_services)
