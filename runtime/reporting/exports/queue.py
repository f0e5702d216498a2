"""The queue of exports: one message is one turn of one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from runtime.core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class ExportOrder(BaseModel, frozen=True, defer_build=True):
    """A turn of the export `id`; a finished export ignores it."""

    id: str
    merchant_id: str


class ExportQueue:
    """SQS. A merchant is a message group, so that one with many exports does not block others.

    (SQS Developer Guide, "Amazon SQS fair queues".)
    """

    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
        self._sqs, self._queue_url = sqs, queue_url

    def send(self, order: ExportOrder, delay_seconds: int = 0) -> None:
        """Queue a turn, visible after `delay_seconds` (SQS: at most 900). Raises Unavailable."""
        try:
            self._sqs.send_message(
                QueueUrl=self._queue_url,
                MessageBody=order.model_dump_json(),
                MessageGroupId=order.merchant_id,
                DelaySeconds=delay_seconds,
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(f"Export {order.id} could not be queued; try again") from error
