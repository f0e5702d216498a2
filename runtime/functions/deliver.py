"""Delivery queue: each message is one turn of one webhook."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.ids import age_seconds
from runtime.core.log_messages import WEBHOOK_TURN
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.merchants.repository import MerchantRepository
from runtime.settings import DeliverSettings
from runtime.webhooks.delivery import DeliveryDependencies, DeliveryOutcome, Http, deliver
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.webhooks.endpoint_health import Endpoints
from runtime.webhooks.endpoints.repository import EndpointRepository
from runtime.webhooks.http_sender import TOTAL_SECONDS, WebhookHttp
from runtime.webhooks.repository import WebhookRepository
from runtime.webhooks.schedule import RetrySchedule

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


WRITES_SECONDS: Final = 5.0
"""Time reserved for the writes around an attempt: the claim and the result."""


class DeliverServices(FunctionServices):
    """Dependencies of functions/deliver.py."""

    def __init__(
        self,
        settings: DeliverSettings,
        outside: Outside | None = None,
        http: Http | None = None,
    ) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn}, outside)
        attempt_seconds = TOTAL_SECONDS + WRITES_SECONDS
        webhooks = WebhookRepository(self.store)
        self.deps = DeliveryDependencies(
            webhooks=webhooks,
            endpoints=Endpoints(
                MerchantRepository(self.store),
                EndpointRepository(self.store),
                webhooks,
                self.outside,
            ),
            http=http or WebhookHttp(allow_local=settings.allow_local_webhooks),
            queue=DeliveryQueue(self.outside.aws.sqs(), settings.delivery_queue_url),
            schedule=RetrySchedule.parsed(settings.retry_delays_seconds),
            outside=self.outside,
            decryption_failed=self.operational_alerts.decryption_failed,
            has_time=lambda: self.invocation.remaining_seconds() > attempt_seconds,
        )

    def begin(self, context: LambdaContext) -> None:
        """Start an invocation: as any function, and clear cached endpoints."""
        super().begin(context)
        self.deps.endpoints.forget()


@cache
def deliver_services() -> DeliverServices:
    """Build the services from the environment, once."""
    return DeliverServices(DeliverSettings.from_environment(os.environ))


def deliver_batch(
    event: Event, context: LambdaContext, services: DeliverServices
) -> dict[str, Any]:
    """Process the messages of a batch in parallel, since most time is spent waiting for endpoints.

    Returns the failed messages: SQS redelivers them, and finally moves them to the DLQ.
    """
    records = event["Records"]
    with services.outside.threads(len(records)) as pool:
        outcomes = list(pool.map(partial(_outcome, services), records))
    logger.info("delivered", outcomes=dict(Counter(str(outcome) for outcome in outcomes)))
    failed = [r for r, outcome in zip(records, outcomes, strict=True) if outcome is None]
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in failed]}


def _outcome(services: DeliverServices, record: dict[str, Any]) -> DeliveryOutcome | None:
    """The outcome of one message; None if it must be redelivered."""
    try:
        order = DeliveryOrder.model_validate_json(record["body"])
        outcome = deliver(order, services.deps)
    except Exception:  # noqa: BLE001 - this message is redelivered, the others are done
        logger.exception("a delivery failed", message_id=record["messageId"])
        return None
    logger.info(
        WEBHOOK_TURN,
        webhook=order.id,
        merchant=order.merchant_id,
        request_id=order.request_id,
        outcome=str(outcome),
        age_seconds=age_seconds(order.id, services.outside.now()),
    )
    return outcome


handler_for = per_environment(deliver_batch)
handler = handler_for(deliver_services)
