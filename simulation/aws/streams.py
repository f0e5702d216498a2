"""Event source mappings: change streams of tables to a function, as stacks/ configures them.

What Lambda promises is kept: the records of one partition key come in order on their first
delivery, a batch that fails is tried again from its first failed record, halved where the function
itself failed, and discarded at last, its payload kept. What it does not promise happens: records
twice, batches again, late, and pollers that go back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol
from zlib import crc32

from simulation.aws.filters import passes
from simulation.dynamodb import InMemoryDynamoDB, StreamEntry, Table
from simulation.outside import BEGINNING
from simulation.scheduler import Scheduler
from simulation.tasks import LambdaDied, Task

MAX_PAYLOAD_BYTES: Final = 6 * 1000**2
"""Of one batch (Lambda Developer Guide, event source mappings)."""
KEPT_RECORDS: Final = 1_000
"""Of a lane that is done with them: it goes back no further."""
FUNCTION_FAILED: Final = -1
"""Stands for a position: the function raised, died, or named a record that was not in the batch."""
_SLOWEST_RETRY_SECONDS: Final = 60.0

KeepDiscarded = Callable[[str, dict[str, Any]], None]
"""Keeps a discarded batch under a name, in the bucket of failed batches."""


class Invokable(Protocol):
    """A function, as its sources see it."""

    def invoke(self, event: Mapping[str, Any], /) -> Any:
        """Its answer to an event; raises what it raises, and LambdaDied."""
        ...


@dataclass(frozen=True)
class StreamSettings:
    """The settings of a mapping (stacks/constructs/stream_source.py); `only` is an event filter.

    `window_seconds`: how long Lambda waits for a batch to fill. `lanes`: shards of the stream times
    batches of a shard at once.
    """

    only: Mapping[str, Any] | None = None
    batch_records: int = 100
    window_seconds: float = 0.0
    lanes: int = 8
    max_retries: int = 100
    max_age_seconds: float = 12 * 3600.0


class StreamSource:
    """Feeds the streams of some tables to a function; a table's settings may differ.

    `keep_discarded` keeps batches that are given up; without it, giving one up is a defect.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        database: InMemoryDynamoDB,
        tables: Mapping[str, StreamSettings],
        function: Invokable,
        *,
        keep_discarded: KeepDiscarded | None = None,
    ) -> None:
        self._scheduler, self._database, self._function = scheduler, database, function
        self._settings = dict(tables)
        self._keep_discarded = keep_discarded
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self.deliveries = 0
        self.given_up = 0
        database.on_record.append(self._heard)

    def quiet(self) -> bool:
        """Everything was delivered."""
        return all(lane.waits and lane.is_done for lane in self._lanes.values())

    def waiting(self) -> dict[str, int]:
        """How many records of each table are not done yet."""
        waiting: dict[str, int] = {}
        for (table, _), lane in self._lanes.items():
            waiting[table] = waiting.get(table, 0) + lane.left
        return waiting

    def _heard(self, table: Table, entry: StreamEntry) -> None:
        settings = self._settings.get(table.name)
        if settings is None:
            return
        if settings.only is not None:
            record = self._database.record(table, entry)
            if not passes(record, settings.only):
                return
        number = crc32(repr(entry.key[0]).encode()) % settings.lanes
        lane = self._lanes.get((table.name, number))
        if lane is None:
            lane = self._lanes[table.name, number] = _Lane(table, number, settings)
            name = f"stream of {table.name}, lane {number}"
            lane.task = self._scheduler.spawn(lambda: self._pump(lane), name)
        lane.records.append(entry)
        if lane.waits:
            lane.waits = False
            assert lane.task is not None
            wait = lane.task.wait
            scheduler = self._scheduler
            due = scheduler.now + 0.05 + scheduler.rng.random() * 0.4 + settings.window_seconds
            scheduler.at(due, scheduler.resume, lane.task, None, None, wait)

    def _pump(self, lane: _Lane) -> None:
        scheduler = self._scheduler
        scheduler.sleep(0.05 + scheduler.rng.random() * 0.4 + lane.settings.window_seconds)
        while True:
            if lane.is_done:
                lane.waits = True
                scheduler.park()
                continue
            if self._happens("batch_late"):
                scheduler.sleep(scheduler.rng.uniform(0.5, 20.0))
            batch = self._next_batch(lane)
            failed_at = self._deliver(lane, batch)
            if failed_at is None:
                lane.advance(len(batch))
                self._perhaps_again(lane, batch)
            elif failed_at > 0:
                lane.advance(failed_at)
            else:
                self._failed(lane, batch, halve=failed_at == FUNCTION_FAILED)

    def _next_batch(self, lane: _Lane) -> list[StreamEntry]:
        most = lane.limit or lane.settings.batch_records
        if lane.limit is None and lane.settings.window_seconds == 0:
            most = self._scheduler.rng.randrange(1, most + 1)  # whatever has arrived by then
        return lane.records[lane.position : lane.position + most]

    def _failed(self, lane: _Lane, batch: list[StreamEntry], *, halve: bool) -> None:
        """The first record failed, or the function itself, whose batch is halved."""
        settings, scheduler = lane.settings, self._scheduler
        if halve and len(batch) > 1:
            lane.limit = (len(batch) + 1) // 2  # does not count as a retry
        else:
            lane.limit = len(batch)
            lane.retries += 1
        age = scheduler.now - batch[0].at
        if lane.retries > settings.max_retries or age > settings.max_age_seconds:
            self._give_up(lane, batch, "RecordAgeExpired" if age > settings.max_age_seconds else "")
            return
        longest = min(0.2 * 2 ** min(lane.retries, 10), _SLOWEST_RETRY_SECONDS)
        scheduler.sleep(scheduler.rng.uniform(0.1, max(longest, 0.2)))

    def _give_up(self, lane: _Lane, batch: list[StreamEntry], reason: str) -> None:
        assert self._keep_discarded is not None, f"{lane.table.name}: a batch never gets through"
        self.given_up += len(batch)
        records = self._records(lane, batch)
        at = BEGINNING + timedelta(seconds=self._scheduler.now)
        name = f"aws/lambda/{lane.table.name}/{lane.shard}/{at:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}"
        first, last = records[0]["dynamodb"], records[-1]["dynamodb"]
        document = {
            "requestContext": {
                "condition": reason or "RetryAttemptsExhausted",
                "approximateInvokeCount": lane.retries,
            },
            "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
            "version": "1.0",
            "DDBStreamBatchInfo": {
                "shardId": lane.shard,
                "startSequenceNumber": first["SequenceNumber"],
                "endSequenceNumber": last["SequenceNumber"],
                "approximateArrivalOfFirstRecord": first["ApproximateCreationDateTime"],
                "approximateArrivalOfLastRecord": last["ApproximateCreationDateTime"],
                "batchSize": len(batch),
                "streamArn": records[0]["eventSourceARN"],
            },
            "payload": json.dumps({"Records": records}),
        }
        self._keep_discarded(f"{name}-{batch[0].sequence}", document)
        lane.advance(len(batch))

    def _deliver(self, lane: _Lane, batch: list[StreamEntry]) -> int | None:
        """Position of the first record that failed, or FUNCTION_FAILED; None: all is done."""
        self.deliveries += 1
        records = self._records(lane, batch)
        given = records
        if self._happens("batch_doubled"):
            rng = self._scheduler.rng
            given = [each for record in records for each in [record] * rng.choice((1, 1, 2))]
        given = _fitting(given)
        try:
            answer = self._function.invoke({"Records": given})
        except (LambdaDied, Exception):  # noqa: BLE001 - Lambda takes any for a failure
            return FUNCTION_FAILED
        failures = (answer or {}).get("batchItemFailures") or []
        taken = {each["dynamodb"]["SequenceNumber"]: n for n, each in enumerate(records)}
        positions = [taken.get(each.get("itemIdentifier"), FUNCTION_FAILED) for each in failures]
        done = len({each["eventID"] for each in given})
        if not positions:
            return None if done == len(batch) else done
        return min(positions)

    def _perhaps_again(self, lane: _Lane, batch: list[StreamEntry]) -> None:
        if self._happens("batch_repeated"):
            self._deliver(lane, batch)  # the outcome is ignored: the batch was processed before
        if self._happens("batch_rewound"):
            lane.go_back(self._scheduler.rng.randrange(1, 2 * len(batch) + 1))

    def _records(self, lane: _Lane, batch: list[StreamEntry]) -> list[dict[str, Any]]:
        record, table = self._database.record, lane.table
        return [record(table, entry) for entry in batch]

    def _happens(self, fault: str) -> bool:
        scheduler = self._scheduler
        rate = getattr(scheduler.rates, fault)
        happens = bool(rate) and scheduler.rng.random() < rate
        if happens:
            scheduler.injected[fault] += 1
        return happens


class _Lane:
    """Some items' records, in the order of their changes, and how far they are done."""

    def __init__(self, table: Table, number: int, settings: StreamSettings) -> None:
        self.table, self.settings = table, settings
        self.shard = f"shardId-{number:020d}"
        self.records: list[StreamEntry] = []
        self.position = 0
        self.retries = 0
        self.limit: int | None = None
        """Records of the next batch, where an error has halved it."""
        self.waits = False
        self.task: Task | None = None

    @property
    def left(self) -> int:
        """How many records are not done."""
        return len(self.records) - self.position

    @property
    def is_done(self) -> bool:
        """Nothing to deliver."""
        return self.position >= len(self.records)

    def advance(self, count: int) -> None:
        """So many are done, or given up."""
        self.position += count
        self.retries, self.limit = 0, None
        if self.position > 2 * KEPT_RECORDS:
            del self.records[:KEPT_RECORDS]
            self.position -= KEPT_RECORDS

    def go_back(self, count: int) -> None:
        """Lambda's poller has lost its place, and begins at an earlier one."""
        self.position = max(0, self.position - count)


def _fitting(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first records that go into one payload; one at the least."""
    total = 0
    for number, record in enumerate(records):
        total += record["dynamodb"]["SizeBytes"]
        if total > MAX_PAYLOAD_BYTES and number:
            return records[:number]
    return records
