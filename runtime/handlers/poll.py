"""The daily schedule that asks processors for disputes and failed refunds that no event told."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.poll import poll_services
from runtime.observability import logger
from runtime.services.event_poll import poll


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One run, which may be a part of a round; its report is the answer."""
    services = poll_services()
    services.begin(context)
    report = poll(services.poll_desk, context.aws_request_id)
    logger.info("polled", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)
