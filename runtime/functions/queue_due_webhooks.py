"""Scheduled function: queues webhook deliveries that are due."""

from __future__ import annotations

import os
from functools import cache

from runtime.core.log_messages import WEBHOOKS_QUEUED
from runtime.core.outside import Outside
from runtime.functions.composition.environments import scheduled
from runtime.functions.composition.services import FunctionServices
from runtime.settings import RetriesSettings
from runtime.webhooks.delivery_queue import DeliveryQueue
from runtime.webhooks.due_deliveries import DueDeliveriesDependencies, RetriesReport, queue_due
from runtime.webhooks.repository import WebhookRepository


class QueueDueWebhooksServices(FunctionServices):
    """Dependencies of functions/queue_due_webhooks.py."""

    def __init__(self, settings: RetriesSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.deps = DueDeliveriesDependencies(
            webhooks=WebhookRepository(self.store),
            queue=DeliveryQueue(self.outside.aws.sqs(), settings.delivery_queue_url),
            outside=self.outside,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def queue_due_webhooks_services() -> QueueDueWebhooksServices:
    """Build the services from the environment, once."""
    return QueueDueWebhooksServices(RetriesSettings.from_environment(os.environ))


def queue_webhooks(services: QueueDueWebhooksServices, _: str) -> RetriesReport:
    """Queue the due deliveries until time runs out."""
    return queue_due(services.deps)


handler_for = scheduled(WEBHOOKS_QUEUED, queue_webhooks)
handler = handler_for(queue_due_webhooks_services)
