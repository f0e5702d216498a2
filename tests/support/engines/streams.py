"""An event source mapping in a test: reads an engine's real change streams and calls a handler.

Lambda's guarantees are kept: the records of one item arrive in order on their first delivery, a
failed batch is retried from the lowest failed sequence number, halved on an error, and sent on
with its payload when its retries are used up. What Lambda does not guarantee is injected: records
twice, batches late, again after newer ones, while another shard's is being processed, or by a
handler that dies half-way. Decisions are seeded.
"""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from tests.support.engines.faults import ProcessKilled

if TYPE_CHECKING:
    from tests.support.engines.engine import Engine

Record = dict[str, Any]
Handler = Callable[[dict[str, Any], Any], dict[str, Any] | None]

_READ_PAGE: Final = 1000
"""Records of one GetRecords call: DynamoDB's own limit."""
MAX_DELIVERIES: Final = 20_000
"""Of one `drain`: more than that means that the handler makes no progress."""
STUCK_RETRIES: Final = 100
"""Of one batch: random faults never last this long, so the handler is broken."""
_LEASE_SECONDS: Final = 300.0


@dataclass(frozen=True)
class SourceSettings:
    """Settings of an event source mapping. `max_retries` None: until the record expires.

    Batches are as full as possible only with `full_batches`, else of random size.
    """

    batch_size: int = 100
    full_batches: bool = False
    max_retries: int | None = None
    bisect_on_error: bool = False
    report_item_failures: bool = True


@dataclass(frozen=True)
class StreamFaults:
    """Chances, per delivery, of what may happen to a batch."""

    doubled: float = 0.0
    """Some records occur twice in it, side by side."""
    late: float = 0.0
    """The shard pauses for a while, and others overtake it."""
    repeated: float = 0.0
    """The batch is delivered once more later, after newer ones."""
    rewound: float = 0.0
    """The shard is rewound: delivered records come again, in order, and then new ones."""
    killed: float = 0.0
    """The handler does all its work, and its answer is lost."""


QUIET: Final = StreamFaults()
STORMY: Final = StreamFaults(doubled=0.05, late=0.15, repeated=0.1, rewound=0.05, killed=0.05)


@dataclass
class Shard:
    """Some items' records, in the order of their changes, and the position reached."""

    name: str
    stream_arn: str
    records: list[Record] = field(default_factory=list)
    position: int = 0
    retries: int = 0
    limit: int | None = None
    """Records of the next batch, after an error has halved it."""
    rest: int = 0
    repeats: list[list[Record]] = field(default_factory=list)
    busy: bool = False

    @property
    def is_done(self) -> bool:
        """Nothing to deliver."""
        return self.position >= len(self.records) and not self.repeats


@dataclass
class _Source:
    """One table's stream, and the read position; new shards are found when old ones end."""

    stream_arn: str
    iterators: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    last: dict[str, str] = field(default_factory=dict)
    """Sequence number of the last record read, by shard."""


class StreamPoller:
    """Reads the streams of some tables and passes their records to `handler`.

    The engines keep one shard per table; here its records are spread over `shards` by item, as
    AWS does when a table grows.
    """

    def __init__(
        self,
        engine: Engine,
        tables: Sequence[str],
        handler: Handler,
        *,
        seed: str = "",
        faults: StreamFaults = QUIET,
        settings: SourceSettings = SourceSettings(),
        shards: int = 4,
    ) -> None:
        self.handler = handler
        self._dice = random.Random(f"poller-{seed}")
        self._faults = faults
        self._settings = settings
        self._shards_per_table = shards
        self._client = engine.client("dynamodbstreams")
        tables_client = engine.dynamodb()
        self._sources = [
            _Source(tables_client.describe_table(TableName=name)["Table"]["LatestStreamArn"])
            for name in tables
        ]
        self.shards: dict[tuple[str, int], Shard] = {}
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self.sink: list[dict[str, Any]] = []
        """What an on-failure destination in S3 gets: pointers, and the payload."""
        self.deliveries = 0
        self.delivered: dict[str, int] = {}
        """How often each record (by eventID) was delivered."""
        self.injected: list[str] = []
        self.errors: list[BaseException] = []

    # ------------------------------------------------------------ operations for tests

    def step(self) -> bool:
        """Deliver one batch of any shard, reading on if needed; False when all is done."""
        shard = self._take()
        if shard is None:
            self._read()
            shard = self._take()
        if shard is None:
            return False
        try:
            self._deliver_next(shard)
        finally:
            with self._lock:
                shard.busy = False
        return True

    def drain(self, workers: int = 1, faults: StreamFaults | None = None) -> None:
        """Deliver until all streams are quiet. Raises AssertionError if they never are."""
        usual, self._faults = self._faults, faults or self._faults
        bound = self.deliveries + MAX_DELIVERIES
        try:
            while not self._is_quiet():
                with ThreadPoolExecutor(workers) as pool:
                    list(pool.map(lambda _: self._work_until_quiet(bound), range(workers)))
        finally:
            self._faults = usual

    @contextmanager
    def running(self, workers: int = 1, pause_seconds: float = 0.02) -> Iterator[None]:
        """Deliver on separate threads while the block runs. Raises what broke the poller."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                if not self.step():
                    stop.wait(pause_seconds)

        with ThreadPoolExecutor(workers) as pool:
            threads = [pool.submit(work) for _ in range(workers)]
            try:
                yield
            finally:
                stop.set()
            for thread in threads:
                thread.result()

    def lengths(self) -> dict[tuple[str, int], int]:
        """How many records each shard has, including new ones."""
        self._read()
        with self._lock:
            return {name: len(shard.records) for name, shard in self.shards.items()}

    def has_done(self, lengths: Mapping[tuple[str, int], int]) -> bool:
        """Whether this many records of each shard have been delivered."""
        with self._lock:
            return all(self.shards[name].position >= most for name, most in lengths.items())

    # ------------------------------------------------------------ reading

    def _read(self) -> bool:
        """Whether the streams had something new."""
        with self._reading:
            found = [self._read_source(source) for source in self._sources]
        return any(found)

    def _read_source(self, source: _Source) -> bool:
        if not source.iterators:
            self._find_shards(source)
        found = False
        for shard_id in list(source.iterators):
            found = self._read_shard(source, shard_id) or found
        return found

    def _read_shard(self, source: _Source, shard_id: str) -> bool:
        found = False
        while True:
            iterator = source.iterators[shard_id]
            try:
                page = self._client.get_records(ShardIterator=iterator, Limit=_READ_PAGE)
            except self._client.exceptions.TrimmedDataAccessException:
                # DynamoDB Local reports this for an iterator that waited at its shard's end.
                source.iterators[shard_id] = self._iterator(source, shard_id)
                return found
            for record in page["Records"]:
                self._append(source.stream_arn, record)
                source.last[shard_id] = record["dynamodb"]["SequenceNumber"]
            found = found or bool(page["Records"])
            if "NextShardIterator" not in page:
                source.ended.add(shard_id)
                del source.iterators[shard_id]
                return found
            source.iterators[shard_id] = page["NextShardIterator"]
            if not page["Records"]:
                return found

    def _find_shards(self, source: _Source) -> None:
        stream = self._client.describe_stream(StreamArn=source.stream_arn)["StreamDescription"]
        for shard in stream["Shards"]:
            if shard["ShardId"] not in source.ended:
                source.iterators[shard["ShardId"]] = self._iterator(source, shard["ShardId"])

    def _iterator(self, source: _Source, shard_id: str) -> str:
        """After the last record read, or before the first."""
        place: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if shard_id in source.last:
            place = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "SequenceNumber": source.last[shard_id],
            }
        answer = self._client.get_shard_iterator(
            StreamArn=source.stream_arn, ShardId=shard_id, **place
        )
        return str(answer["ShardIterator"])

    def _append(self, stream_arn: str, raw: Record) -> None:
        record = lambda_record(raw, stream_arn)
        keys = json.dumps(record["dynamodb"]["Keys"], sort_keys=True)
        number = crc32(keys.encode()) % self._shards_per_table
        with self._lock:
            shard = self.shards.setdefault(
                (stream_arn, number), Shard(f"shardId-{number:020d}", stream_arn)
            )
            shard.records.append(record)

    # ------------------------------------------------------------ choosing a shard

    def _take(self) -> Shard | None:
        """Any idle shard with something to deliver, now and then a late one."""
        with self._lock:
            waiting = [s for s in self.shards.values() if not s.is_done and not s.busy]
            ready = [shard for shard in waiting if shard.rest == 0]
            for shard in waiting:
                shard.rest = max(shard.rest - 1, 0)
            if not waiting:
                return None
            shard = self._dice.choice(ready or waiting)
            shard.busy = True
            return shard

    def _is_quiet(self) -> bool:
        new = self._read()
        with self._lock:
            return not new and all(s.is_done and not s.busy for s in self.shards.values())

    def _work_until_quiet(self, bound: int) -> None:
        while self.step():
            assert self.deliveries < bound, f"the streams never come to rest: {self.errors[-1:]}"

    # ------------------------------------------------------------ delivering

    def _deliver_next(self, shard: Shard) -> None:
        if shard.repeats and (shard.position >= len(shard.records) or self._chance(0.5)):
            self._invoke(shard, shard.repeats.pop(0))  # a failure of a repetition is ignored
            return
        start = shard.position
        size = shard.limit or self._size()
        batch = shard.records[start : start + size]
        if not batch:
            return
        failed_at = self._invoke(shard, self._doubled(batch))
        if failed_at is None:
            self._advance(shard, start + len(batch))
            self._maybe_again(shard, batch)
        else:
            self._failed(shard, batch, failed_at)

    def _size(self) -> int:
        with self._lock:
            most = self._settings.batch_size
            return most if self._settings.full_batches else self._dice.randrange(1, most + 1)

    def _advance(self, shard: Shard, position: int) -> None:
        shard.position, shard.retries, shard.limit = position, 0, None

    def _failed(self, shard: Shard, batch: list[Record], failed_at: int) -> None:
        """Lambda's retry rules: records before the failed one are done."""
        if failed_at > 0:
            self._advance(shard, shard.position + failed_at)
            return
        if self._settings.bisect_on_error and len(batch) > 1:
            shard.limit = (len(batch) + 1) // 2  # halving does not count as a retry
            return
        shard.limit = len(batch)
        shard.retries += 1
        assert shard.retries < STUCK_RETRIES, f"a batch never gets through: {self.errors[-1:]}"
        most = self._settings.max_retries
        if most is not None and shard.retries > most:
            self.sink.append(_failure(shard, batch))
            self._advance(shard, shard.position + len(batch))

    def _invoke(self, shard: Shard, batch: list[Record]) -> int | None:
        """Position of the lowest failed record in `batch`, None when all is done."""
        with self._lock:
            self.deliveries += 1
            for record in batch:
                self.delivered[record["eventID"]] = self.delivered.get(record["eventID"], 0) + 1
        event = json.loads(json.dumps({"Records": batch}))
        deadline = time.monotonic() + _LEASE_SECONDS
        context = SimpleNamespace(
            aws_request_id=f"delivery-{self.deliveries}",
            function_name="project",
            memory_limit_in_mb=256,
            invoked_function_arn="arn:aws:lambda:eu-west-1:000000000000:function:project",
            get_remaining_time_in_millis=lambda: int((deadline - time.monotonic()) * 1000),
        )
        try:
            answer = self.handler(event, context)
        except (Exception, ProcessKilled) as error:  # noqa: BLE001 - Lambda takes any for a failure
            self.errors.append(error)
            return 0
        if self._happens("killed", self._faults.killed):
            return 0
        return self._lowest_failure(batch, answer)

    def _lowest_failure(self, batch: list[Record], answer: dict[str, Any] | None) -> int | None:
        if not self._settings.report_item_failures or not answer:
            return None
        failures = answer.get("batchItemFailures") or []
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        failed = [failure.get("itemIdentifier") for failure in failures]
        if any(number not in numbers for number in failed):
            return 0  # an identifier that Lambda does not know: the whole batch has failed
        if not failed:
            return None
        # Counted without repeated ones.
        distinct = list(dict.fromkeys(numbers))
        return min(distinct.index(number) for number in failed)

    # ------------------------------------------------------------ faults

    def _chance(self, rate: float) -> bool:
        with self._lock:
            return self._dice.random() < rate

    def _happens(self, what: str, rate: float) -> bool:
        happens = self._chance(rate)
        if happens:
            with self._lock:
                self.injected.append(what)
        return happens

    def _doubled(self, batch: list[Record]) -> list[Record]:
        if not self._happens("doubled", self._faults.doubled):
            return batch
        return [each for record in batch for each in [record] * (2 if self._chance(0.3) else 1)]

    def _maybe_again(self, shard: Shard, batch: list[Record]) -> None:
        if self._happens("late", self._faults.late):
            shard.rest = self._dice.randrange(1, 10)
        if self._happens("repeated", self._faults.repeated):
            shard.repeats.append(batch)
        if self._happens("rewound", self._faults.rewound):
            shard.position = max(0, shard.position - self._dice.randrange(1, 3 * len(batch) + 1))


def lambda_record(raw: Record, stream_arn: str) -> Record:
    """A record of GetRecords as AWS Lambda puts it into an event."""
    change = {
        name: _as_json(value) if name in ("Keys", "NewImage", "OldImage") else value
        for name, value in raw["dynamodb"].items()
    }
    moment = change["ApproximateCreationDateTime"]
    if isinstance(moment, datetime):
        change["ApproximateCreationDateTime"] = moment.timestamp()
    record = {
        "eventID": raw["eventID"],
        "eventName": raw["eventName"],
        "eventVersion": raw["eventVersion"],
        "eventSource": "aws:dynamodb",
        "awsRegion": raw["awsRegion"],
        "dynamodb": change,
        "eventSourceARN": stream_arn,
    }
    if raw.get("userIdentity"):
        record["userIdentity"] = raw["userIdentity"]
    return record


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _as_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_as_json(member) for member in value]
    return value


def _failure(shard: Shard, batch: list[Record]) -> dict[str, Any]:
    """An invocation record as Lambda writes it to an on-failure destination in S3."""
    first, last = batch[0]["dynamodb"], batch[-1]["dynamodb"]
    return {
        "requestContext": {
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": shard.retries,
        },
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": shard.name,
            "startSequenceNumber": first["SequenceNumber"],
            "endSequenceNumber": last["SequenceNumber"],
            "approximateArrivalOfFirstRecord": first["ApproximateCreationDateTime"],
            "approximateArrivalOfLastRecord": last["ApproximateCreationDateTime"],
            "batchSize": len(batch),
            "streamArn": shard.stream_arn,
        },
        "payload": json.dumps({"Records": batch}),
    }
