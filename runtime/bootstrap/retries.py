"""Behind the schedule of due webhooks."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.gateways.delivery_queue import DeliveryQueue
from runtime.repositories.webhooks import WebhookRepository
from runtime.services.webhook_retries import DueDeliveriesDependencies
from runtime.settings import RetriesSettings


class QueueDueWebhooksServices(FunctionServices):
    """Behind handlers/retries.py."""

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
