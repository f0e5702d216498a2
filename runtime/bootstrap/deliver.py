"""Behind the queue of deliveries."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.domain.webhook_schedule import RetrySchedule
from runtime.gateways.delivery_queue import DeliveryQueue
from runtime.gateways.webhook_http import TOTAL_SECONDS, WebhookHttp
from runtime.repositories.merchants import MerchantRepository
from runtime.repositories.webhooks import WebhookRepository
from runtime.services.webhook_delivery import DeliveryDependencies, Http
from runtime.services.webhook_endpoints import Endpoints
from runtime.settings import DeliverSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

WRITES_SECONDS: Final = 5.0
"""Around an attempt: its claim, and what came of it."""


class DeliverServices(FunctionServices):
    """Behind handlers/deliver.py."""

    def __init__(
        self,
        settings: DeliverSettings,
        outside: Outside | None = None,
        http: Http | None = None,
    ) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn}, outside)
        self._request_id = ""
        attempt_seconds = TOTAL_SECONDS + WRITES_SECONDS
        webhooks = WebhookRepository(self.store)
        self.deps = DeliveryDependencies(
            webhooks=webhooks,
            endpoints=Endpoints(MerchantRepository(self.store), webhooks, self.outside),
            http=http or WebhookHttp(allow_local=settings.allow_local_webhooks),
            queue=DeliveryQueue(self.outside.aws.sqs(), settings.delivery_queue_url),
            schedule=RetrySchedule.parsed(settings.retry_delays_seconds),
            outside=self.outside,
            request_id=lambda: self._request_id,
            decryption_failed=self.operational_alerts.decryption_failed,
            has_time=lambda: self.invocation.remaining_seconds() > attempt_seconds,
        )

    def begin(self, context: LambdaContext) -> None:
        """Start the invocation's clock, remember its id for what it changes, read anew."""
        super().begin(context)
        self.deps.endpoints.forget()
        self._request_id = context.aws_request_id


@cache
def deliver_services() -> DeliverServices:
    """Built from the environment at the first event."""
    return DeliverServices(DeliverSettings.from_environment(os.environ))
