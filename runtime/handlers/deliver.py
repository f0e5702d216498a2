"""The queue of deliveries: each message is one turn of one webhook."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.deliver import DeliverServices, deliver_services
from runtime.gateways.delivery_queue import DeliveryOrder
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.webhook_delivery import DeliveryOutcome, deliver


def deliver_batch(
    event: Event, context: LambdaContext, services: DeliverServices
) -> dict[str, Any]:
    """Work on the messages of a batch at once: endpoints take their time, and it is waiting.

    Answers those that could not be worked on: SQS hands them out again, and at last to its DLQ.
    """
    records = event["Records"]
    with services.outside.threads(len(records)) as pool:
        outcomes = list(pool.map(partial(_outcome, services), records))
    logger.info("delivered", outcomes=dict(Counter(str(outcome) for outcome in outcomes)))
    failed = [r for r, outcome in zip(records, outcomes, strict=True) if outcome is None]
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in failed]}


def _outcome(services: DeliverServices, record: dict[str, Any]) -> DeliveryOutcome | None:
    """What came of one message; None when it has to come again."""
    try:
        order = DeliveryOrder.model_validate_json(record["body"])
        outcome = deliver(order, services.deps)
    except Exception:  # noqa: BLE001 - the message comes again, the others are done
        logger.exception("a delivery failed", message_id=record["messageId"])
        return None
    logger.info("webhook", webhook=order.id, merchant=order.merchant_id, outcome=str(outcome))
    return outcome


handler_for = per_environment(deliver_batch)
handler = handler_for(deliver_services)
