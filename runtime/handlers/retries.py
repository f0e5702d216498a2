"""The schedule of webhooks whose time has come."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.retries import QueueDueWebhooksServices, queue_due_webhooks_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.webhook_retries import queue_due


def queue_retries(
    event: Event, context: LambdaContext, services: QueueDueWebhooksServices
) -> dict[str, Any]:
    """One run over the webhooks that are due; its report is the answer."""
    report = queue_due(services.deps)
    logger.info("queued due webhooks", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(queue_retries)
handler = handler_for(queue_due_webhooks_services)
