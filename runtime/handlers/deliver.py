"""The queue of deliveries: each message is one turn of one webhook."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.deliver import deliver_services
from runtime.gateways.delivery_queue import DeliveryOrder
from runtime.observability import logger
from runtime.services.webhook_delivery import Outcome, deliver


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on the messages of a batch at once: endpoints take their time, and it is waiting.

    Answers those that could not be worked on: SQS hands them out again, and at last to its DLQ.
    """
    deliver_services().begin(context)
    records = event["Records"]
    with ThreadPoolExecutor(max_workers=len(records)) as pool:
        outcomes = list(pool.map(_outcome, records))
    logger.info("delivered", outcomes=dict(Counter(str(outcome) for outcome in outcomes)))
    failed = [r for r, outcome in zip(records, outcomes, strict=True) if outcome is None]
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in failed]}


def _outcome(record: dict[str, Any]) -> Outcome | None:
    """What came of one message; None when it has to come again."""
    try:
        order = DeliveryOrder.model_validate_json(record["body"])
        outcome = deliver(order, deliver_services().desk)
    except Exception:  # noqa: BLE001 - the message comes again, the others are done
        logger.exception("a delivery failed", message_id=record["messageId"])
        return None
    logger.info("webhook", webhook=order.id, merchant=order.merchant_id, outcome=str(outcome))
    return outcome
