"""The daily schedule that looks for captures and refunds that no settlement file has named."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.missing import MissingServices, missing_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.reconciliation.unsettled import sweep_missing


def look_for_missing(
    event: Event, context: LambdaContext, services: MissingServices
) -> dict[str, Any]:
    """One run, which may be a part of a round; its report is the answer."""
    report = sweep_missing(services.dependencies, context.aws_request_id)
    logger.info("swept", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(look_for_missing)
handler = handler_for(missing_services)
