"""The schedule of webhooks whose time has come."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.settings import RetriesSettings
from runtime.webhooks.delivery_queue import DeliveryQueue
from runtime.webhooks.due_deliveries import DueDeliveriesDependencies, queue_due
from runtime.webhooks.repository import WebhookRepository


class QueueDueWebhooksServices(FunctionServices):
    """Behind functions/queue_due_webhooks.py."""

    def __init__(self, settings: RetriesSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.deps = DueDeliveriesDependencies(
            webhooks=WebhookRepository(self.store),
            queue=DeliveryQueue(self.outside.aws.sqs(), settings.delivery_queue_url),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def queue_due_webhooks_services() -> QueueDueWebhooksServices:
    """Built from the environment at the first event."""
    return QueueDueWebhooksServices(RetriesSettings.from_environment(os.environ))


def queue_retries(
    event: Event, context: LambdaContext, services: QueueDueWebhooksServices
) -> dict[str, Any]:
    """One run over the webhooks that are due; its report is the answer."""
    report = queue_due(services.deps)
    logger.info("queued due webhooks", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(queue_retries)
handler = handler_for(queue_due_webhooks_services)
