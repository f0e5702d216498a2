"""How many messages wait in the dead-letter queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from runtime.core.observability import logger
from runtime.core.outside import Outside

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

READ_AT_ONCE: Final = 8
"""Queues; each is one request to SQS of some milliseconds."""
COUNT: Final = "ApproximateNumberOfMessages"
COUNT_UNKNOWN: Final = "dead-letter queue not counted"


class DeadLetterQueues:
    """The dead-letter queues by name. The URL of each is `url` with {name} replaced."""

    def __init__(self, names: Sequence[str], url: str, outside: Outside) -> None:
        self._names, self._url, self._outside = names, url, outside

    def counts(self) -> dict[str, int | None]:
        """Messages that wait, by the queue's name; None where SQS did not answer.

        SQS counts approximately: a message of the last minute may be missing (SQS API Reference,
        GetQueueAttributes).
        """
        if not self._names:
            return {}
        sqs = self._outside.aws.sqs()
        with self._outside.threads(min(READ_AT_ONCE, len(self._names))) as pool:
            counted = pool.map(lambda name: self._count(sqs, name), self._names)
            return dict(zip(self._names, counted, strict=True))

    def _count(self, sqs: SQSClient, name: str) -> int | None:
        url = self._url.replace("{name}", name)
        try:
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[COUNT])
        except (BotoCoreError, ClientError):
            logger.warning(COUNT_UNKNOWN, queue=name, exc_info=True)
            return None
        return int(answer["Attributes"][COUNT])
