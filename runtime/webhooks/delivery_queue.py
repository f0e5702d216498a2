"""The delivery queue: each message is one turn of one delivery."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from runtime.core.errors import Unavailable
from runtime.core.observability import logger
from runtime.webhooks.models import WebhookState

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

MAX_BATCH: Final = 10
"""Maximum number of messages in one SendMessageBatch call."""
MAX_DELAY: Final = timedelta(seconds=900)
"""The maximum DelaySeconds of SQS."""


class DeliveryOrder(BaseModel, frozen=True, defer_build=True):
    """One turn of the delivery `id`, valid while the delivery has this `version`.

    Each turn changes the version, so a duplicate or late message is ignored. `request_id` is that
    of the event, for the log; messages of earlier versions do not have it.
    """

    id: str
    version: int
    merchant_id: str
    request_id: str = ""

    @classmethod
    def of(cls, row: WebhookState) -> Self:
        """The order that is valid while `row` is unchanged."""
        return cls(
            id=row.id,
            version=row.version,
            merchant_id=row.merchant_id,
            request_id=row.request_id,
        )


class DeliveryQueue:
    """SQS with the merchant as message group, so one merchant's backlog does not delay others.

    (SQS Developer Guide, "Amazon SQS fair queues": MessageGroupId on a standard queue neither
    orders nor blocks messages.)
    """

    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
        self._sqs, self._queue_url = sqs, queue_url

    def send(self, order: DeliveryOrder, delay: timedelta = timedelta(0)) -> None:
        """Queue one order, visible after `delay` (at most MAX_DELAY). Raises Unavailable."""
        if self.send_all([order], delay):
            raise Unavailable(f"Delivery {order.id} could not be queued; try again")

    def send_all(
        self, orders: Sequence[DeliveryOrder], delay: timedelta = timedelta(0)
    ) -> frozenset[str]:
        """Queue these orders. Returns the ids of those that were not queued.

        An order whose response was lost counts as not queued, so it may be queued twice.
        """
        assert timedelta(0) <= delay <= MAX_DELAY, f"SQS cannot delay by {delay}"
        refused: set[str] = set()
        for start in range(0, len(orders), MAX_BATCH):
            refused |= self._refused(orders[start : start + MAX_BATCH], delay)
        return frozenset(refused)

    def _refused(self, batch: Sequence[DeliveryOrder], delay: timedelta) -> set[str]:
        entries = [_entry(n, order, delay) for n, order in enumerate(batch)]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
        except (BotoCoreError, ClientError):
            logger.exception("deliveries could not be queued", deliveries=len(batch))
            return {order.id for order in batch}
        return {batch[int(each["Id"])].id for each in answer.get("Failed", [])}


def _entry(
    number: int, order: DeliveryOrder, delay: timedelta
) -> SendMessageBatchRequestEntryTypeDef:
    return {
        "Id": str(number),
        "MessageBody": order.model_dump_json(),
        "MessageGroupId": order.merchant_id,
        # Rounded up: a message that arrives early finds the delivery not due yet.
        "DelaySeconds": -int(-delay.total_seconds() // 1),
    }
