"""The schedule of webhooks whose time has come."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.retries import retries_services
from runtime.observability import logger
from runtime.services.webhook_retries import queue_due


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One run over the webhooks that are due; its report is the answer."""
    services = retries_services()
    services.begin(context)
    report = queue_due(services.desk)
    logger.info("queued due webhooks", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)
