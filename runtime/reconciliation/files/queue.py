"""The queue of settlement files: new objects in the bucket, and the work on each file.

EventBridge sends the events of the bucket; the function itself sends messages for the chunks of a
file, and for its closing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, TypeAdapter

from runtime.core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_BATCH: Final = 10
"""Messages of one SendMessageBatch call (SQS API reference)."""
MAX_SENDS: Final = 3
"""How often messages that SQS refused are sent again."""
_FROM_BUCKETS: Final = "aws.s3"


class ObjectCreated(BaseModel, frozen=True, defer_build=True):
    """An object was put into the bucket."""

    kind: Literal["object"] = "object"
    key: str
    version_id: str | None = None


class ChunkMessage(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """A chunk of a file is to be processed or continued."""

    kind: Literal["chunk"] = "chunk"
    file_id: str
    number: int


class CloseMessage(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """All chunks of a file are done: it is to be closed."""

    kind: Literal["close"] = "close"
    file_id: str


WorkMessage = ChunkMessage | CloseMessage
_WORK: Final[TypeAdapter[WorkMessage]] = TypeAdapter(
    Annotated[WorkMessage, Field(discriminator="kind")]
)


def read_message(body: str) -> ObjectCreated | WorkMessage:
    """The parsed message. Raises ValueError for any other."""
    document = json.loads(body)
    if not isinstance(document, dict) or "kind" in document:
        return _WORK.validate_python(document)
    return _object_created(document)


def _object_created(event: dict[str, Any]) -> ObjectCreated:
    detail = event.get("detail")
    uploaded = detail.get("object") if isinstance(detail, dict) else None
    if event.get("source", _FROM_BUCKETS) != _FROM_BUCKETS or not isinstance(uploaded, dict):
        raise ValueError("neither an event of the bucket nor a message of the reconcile function")
    return ObjectCreated.model_validate(
        {"key": uploaded.get("key"), "version_id": uploaded.get("version-id")}
    )


class SettlementQueue:
    """SQS. A merchant is a message group, so that one with a long file does not block others.

    (SQS Developer Guide, "Amazon SQS fair queues".)
    """

    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
        self._sqs, self._queue_url = sqs, queue_url

    def send(self, messages: Sequence[WorkMessage], merchant_id: str) -> None:
        """Queue all of them. Raises Unavailable if SQS refuses some.

        Then all may be sent again: repeated messages are harmless.
        """
        for start in range(0, len(messages), MAX_BATCH):
            batch = messages[start : start + MAX_BATCH]
            left = {str(position): message for position, message in enumerate(batch)}
            for _ in range(MAX_SENDS):
                left = self._refused(left, merchant_id)
                if not left:
                    break
            else:
                raise Unavailable(f"SQS did not take {len(left)} messages; try again")

    def _refused(self, batch: dict[str, WorkMessage], merchant_id: str) -> dict[str, WorkMessage]:
        answer = self._sqs.send_message_batch(
            QueueUrl=self._queue_url,
            Entries=[
                {
                    "Id": position,
                    "MessageBody": message.model_dump_json(),
                    "MessageGroupId": merchant_id,
                }
                for position, message in batch.items()
            ],
        )
        return {each["Id"]: batch[each["Id"]] for each in answer.get("Failed", [])}
