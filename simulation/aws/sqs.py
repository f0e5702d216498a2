"""SQS standard queues: at least once, in no order, and dead letters after too many receives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any, Final

from simulation.aws.calls import RemoteClient
from simulation.faults import client_error
from simulation.outside import BEGINNING
from simulation.scheduler import Scheduler

SQS_ADDRESS: Final = "https://sqs.eu-west-1.amazonaws.com/000000000000/"
DEAD_LETTERS: Final = "-dead-letters"
"""How the name of a queue of dead letters ends."""
MAX_BATCH: Final = 10
MAX_DELAY_SECONDS: Final = 900
LATEST_SECONDS: Final = 60.0
"""How much later than it could a message is handed out, at the most, where it is late."""


class Message:
    """One message of a queue."""

    __slots__ = ("body", "group", "id", "receives", "sent_at", "visible_at")

    def __init__(self, id_: str, body: str, group: str | None, sent_at: float) -> None:
        self.id, self.body, self.group, self.sent_at = id_, body, group, sent_at
        self.visible_at = sent_at
        self.receives = 0

    def __repr__(self) -> str:
        return f"Message({self.id}, received {self.receives} times, {self.body[:80]})"


class Queue:
    """One queue. `visibility_seconds`: how long a message is hidden once it was handed out."""

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        *,
        visibility_seconds: float = 30.0,
        max_receives: int | None = None,
        dead_letters: Queue | None = None,
    ) -> None:
        assert (max_receives is None) == (dead_letters is None), "a redrive policy is both"
        self._scheduler = scheduler
        self.name = name
        self.url = f"{SQS_ADDRESS}{name}"
        self.arn = f"arn:aws:sqs:eu-west-1:000000000000:{name}"
        self.visibility_seconds = visibility_seconds
        self.max_receives = max_receives
        self.dead_letters = dead_letters
        self.messages: dict[str, Message] = {}
        """Everything that was sent and not deleted, by id, in the order in which it was sent."""
        self.on_message: list[Callable[[], None]] = []
        """Called when there may be something to receive, now or later."""
        self._waiting: list[tuple[float, int, Message]] = []

    def send(self, body: str, group: str | None = None, delay_seconds: float = 0.0) -> Message:
        """Put in a message, to be seen after its delay at the earliest."""
        scheduler, rng = self._scheduler, self._scheduler.rng
        message = Message(f"{rng.getrandbits(128):032x}", body, group, scheduler.now)
        late = scheduler.rates.message_late
        if late and rng.random() < late:
            scheduler.injected["message late"] += 1
            delay_seconds += rng.uniform(0.0, LATEST_SECONDS)
        self.messages[message.id] = message
        self._hide(message, delay_seconds)
        return message

    def receive(self, most: int) -> list[Message]:
        """Some messages that can be seen, in any order; each is hidden for a while."""
        scheduler, rng = self._scheduler, self._scheduler.rng
        seen: list[Message] = []
        while self._waiting and self._waiting[0][0] <= scheduler.now:
            when, _, message = heappop(self._waiting)
            if self.messages.get(message.id) is message and message.visible_at == when:
                seen.append(message)
        rng.shuffle(seen)
        chosen: list[Message] = []
        for message in seen:
            if len(chosen) == most:
                self._hide(message, 0.0)  # for the next who asks
            elif self._given_up(message):
                assert self.dead_letters is not None
                del self.messages[message.id]
                self.dead_letters.send(message.body, message.group)
            else:
                message.receives += 1
                chosen.append(message)
                self._hide(message, self._hidden_for())
        return chosen

    def delete(self, message: Message) -> None:
        """It was worked on; SQS may hand it out once more all the same."""
        scheduler, rng = self._scheduler, self._scheduler.rng
        doubled = scheduler.rates.message_doubled
        if doubled and rng.random() < doubled:
            scheduler.injected["message doubled"] += 1
            return
        self.messages.pop(message.id, None)

    def show(self, message: Message, seconds: float) -> None:
        """Let it be seen after so long (ChangeMessageVisibility)."""
        if self.messages.get(message.id) is message:
            self._hide(message, seconds)

    def next_seen_at(self) -> float | None:
        """When there is something to receive."""
        while self._waiting:
            when, _, message = self._waiting[0]
            if self.messages.get(message.id) is message and message.visible_at == when:
                return when
            heappop(self._waiting)
        return None

    def redrive(self) -> int:
        """Move the dead letters back, as a person does; how many there were."""
        assert self.dead_letters is not None, f"{self.name} has no dead letters"
        dead = list(self.dead_letters.messages.values())
        self.dead_letters.messages.clear()
        for message in dead:
            self.send(message.body, message.group)
        return len(dead)

    def record(self, message: Message) -> dict[str, Any]:
        """The message as Lambda hands it to a function."""
        sent = int((BEGINNING.timestamp() + message.sent_at) * 1000)
        attributes = {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(sent),
            "SenderId": "AROASIMULATED",
            "ApproximateFirstReceiveTimestamp": str(sent + 1),
        }
        if message.group is not None:
            attributes["MessageGroupId"] = message.group
        return {
            "messageId": message.id,
            "receiptHandle": f"{message.id}-{message.receives}",
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": _md5(message.body),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": "eu-west-1",
        }

    def _given_up(self, message: Message) -> bool:
        return self.max_receives is not None and message.receives >= self.max_receives

    def _hidden_for(self) -> float:
        """Mostly the visibility timeout; not at all where a copy was missed."""
        scheduler, rng = self._scheduler, self._scheduler.rng
        doubled = scheduler.rates.message_doubled
        if doubled and rng.random() < doubled:
            scheduler.injected["message seen twice"] += 1
            return rng.uniform(0.0, 2.0)
        return self.visibility_seconds

    def _hide(self, message: Message, seconds: float) -> None:
        message.visible_at = self._scheduler.now + seconds
        place = (message.visible_at, self._scheduler.next_number(), message)
        heappush(self._waiting, place)
        for listener in self.on_message:
            listener()


class Queues:
    """What is at SQS."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._by_url: dict[str, Queue] = {}
        self.failing = 0.0
        """The chance that one message of a batch is refused while its call succeeds."""

    def create(self, name: str, *, visibility_seconds: float, max_receives: int = 5) -> Queue:
        """A queue, and one for its dead letters (stacks/constructs/queues.py)."""
        dead = Queue(self._scheduler, f"{name}{DEAD_LETTERS}")
        queue = Queue(
            self._scheduler,
            name,
            visibility_seconds=visibility_seconds,
            max_receives=max_receives,
            dead_letters=dead,
        )
        self._by_url |= {queue.url: queue, dead.url: dead}
        return queue

    def all(self) -> list[Queue]:
        """Every queue, in the order of creation, each followed by its dead letters."""
        return list(self._by_url.values())

    def send_message(
        self, *, QueueUrl: str, MessageBody: str, MessageGroupId: str, DelaySeconds: int = 0
    ) -> dict[str, Any]:
        """Put in one message."""
        queue = self._queue(QueueUrl, "SendMessage")
        self._check_delay(DelaySeconds)
        sent = queue.send(MessageBody, MessageGroupId, DelaySeconds)
        return {"MessageId": sent.id, "MD5OfMessageBody": _md5(MessageBody)}

    def send_message_batch(
        self, *, QueueUrl: str, Entries: list[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Put in up to ten messages; each is taken or refused by itself."""
        queue = self._queue(QueueUrl, "SendMessageBatch")
        if not 0 < len(Entries) <= MAX_BATCH:
            code = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
            raise client_error(code, "SendMessageBatch", f"{len(Entries)} entries")
        if len({entry["Id"] for entry in Entries}) < len(Entries):
            code = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"
            raise client_error(code, "SendMessageBatch")
        taken: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        for entry in Entries:
            self._check_delay(entry.get("DelaySeconds", 0))
            if self.failing and self._scheduler.rng.random() < self.failing:
                refused.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
                continue
            delay = entry.get("DelaySeconds", 0)
            sent = queue.send(entry["MessageBody"], entry.get("MessageGroupId"), delay)
            taken.append(
                {
                    "Id": entry["Id"],
                    "MessageId": sent.id,
                    "MD5OfMessageBody": _md5(entry["MessageBody"]),
                }
            )
        return {"Successful": taken, **({"Failed": refused} if refused else {})}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        """How many messages wait."""
        assert AttributeNames == ["ApproximateNumberOfMessages"], AttributeNames
        queue = self._queue(QueueUrl, "GetQueueAttributes")
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(queue.messages))}}

    def _queue(self, url: str, operation: str) -> Queue:
        if url not in self._by_url:
            raise client_error("AWS.SimpleQueueService.NonExistentQueue", operation, url)
        return self._by_url[url]

    def _check_delay(self, seconds: int) -> None:
        if not 0 <= seconds <= MAX_DELAY_SECONDS:
            raise client_error("InvalidParameterValue", "SendMessage", f"delay of {seconds} s")


class SqsClient(RemoteClient):
    """As the platform calls SQS."""

    _operations = ("get_queue_attributes", "send_message", "send_message_batch")
    _refusals = (("RequestThrottled", 403), ("InternalError", 500))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
