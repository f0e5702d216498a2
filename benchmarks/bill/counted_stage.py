"""The real functions on an AWS in memory that counts what each invocation asks of it.

One thread and no faults. Calls return at once and advance a clock by what they would take on AWS;
threads of a function run one after the other, each from the time at which it was started, so that
an invocation takes as long as its slowest thread.
"""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from benchmarks.bill.meter import Meter
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.payment_services import PaymentPartners
from runtime.payments.processors.port import Processor, ProcessorConfig
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.settings import ProcessSettings
from runtime.tables import ALL_TABLES
from simulation.aws.account import AwsAccount, SimulatedAws
from simulation.aws.buckets import Version
from simulation.aws.filters import passes
from simulation.aws.sqs import MAX_BATCH
from simulation.dynamodb import InMemoryClient, InMemoryDynamoDB, StreamEntry, Table
from simulation.faults import FaultRates, PartnerRates
from simulation.outside import BEGINNING, outside_for
from simulation.partners.receivers import Endpoints, ReceiverRates
from simulation.platform.functions import FUNCTIONS, Partners
from simulation.platform.http import HttpRequest, HttpResponse, event_of, response_of
from simulation.platform.settings import (
    AUDIT_BUCKET,
    BUCKETS,
    DELIVERIES,
    MINUTES,
    QUEUES,
    StageSettings,
)
from simulation.platform.sources import BATCH_RECORDS, PROJECTED, SEGMENT_ROWS
from simulation.scheduler import Scheduler
from tests.support.http import Context

Result = TypeVar("Result")

PLAIN_SECONDS: Final = 0.005
TRANSACTION_SECONDS: Final = 0.010
PARTNER_SECONDS: Final[Mapping[str, float]] = {
    "kms": 0.010,
    "sqs": 0.010,
    "s3": 0.030,
    "events": 0.010,
    "endpoint": 0.200,
}
"""Assumed time of a call; DynamoDB promises single-digit milliseconds for plain calls. Only the
price of Lambda depends on them."""
PROJECT, DELIVER, ARCHIVE, PROCESS = "project", "deliver", "archive", "process"
QUERY, PROOF = "query", "proof"
SCHEDULED: Final = tuple(name for name in MINUTES if name != ARCHIVE)
"""Functions that only schedules invoke."""


@dataclass
class Use:
    """What the invocations of one function used.

    `records`: of change streams. `remote`: calls of other services, by service and operation.
    `tables`: those that it read or wrote. `waited`: seconds of calls to AWS and endpoints. `cpu`:
    seconds of this machine's CPU, without the engine and without the DynamoDB client.
    """

    invocations: int = 0
    records: int = 0
    calls: int = 0
    written: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    read_units: float = 0.0
    remote: Counter[str] = field(default_factory=Counter)
    tables: set[str] = field(default_factory=set)
    log_bytes: int = 0
    waited: float = 0.0
    cpu: float = 0.0

    @property
    def write_units(self) -> int:
        """Write units of all tables and indexes."""
        return self.written.total()

    def calls_of(self, service: str) -> int:
        """Calls of a service other than DynamoDB."""
        return sum(n for name, n in self.remote.items() if name.partition(" ")[0] == service)


@dataclass
class Clock:
    """Virtual seconds since the stage began."""

    now: float = 0.0


class CountedStage:
    """Tables, queues, buckets and functions. Services are built once, as in warm environments."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.scheduler = Scheduler("price", FaultRates.calm())
        self.database = InMemoryDynamoDB(now=lambda: self.clock.now, epoch=BEGINNING.timestamp())
        self.tables = {schema.name: schema.name for schema in ALL_TABLES}
        for schema in ALL_TABLES:
            self.database.create_table(**schema.create_table_arguments(schema.name))
        self.aws = AwsAccount(self.scheduler, self.database, PartnerRates.calm())
        self.queues = {
            name: self.aws.sqs.create(name, visibility_seconds=360) for name in QUEUES.values()
        }
        for bucket in BUCKETS:
            self.aws.s3.create(bucket, locked=bucket == AUDIT_BUCKET)
        self.archived_bytes = 0
        self.aws.s3.on_created.append(self._archived)
        self.uses: dict[str, Use] = {}
        self._use = Use()
        self._engine_cpu = 0.0
        self._records: dict[str, deque[StreamEntry]] = {name: deque() for name in self.tables}
        self.database.on_record.append(self._heard)
        self._count_partners()
        self._clients = CountedClients(self)
        self.outside = self._outside()
        self._handlers = self._functions()

    def api(self, request: HttpRequest) -> HttpResponse:
        """A request through the gateway."""
        event = event_of(request, f"request-{self.clock.now}", request.credential)
        name = QUERY if request.method == "GET" else PROCESS
        return response_of(self.invoke(name, event))

    def invoke(self, name: str, event: Mapping[str, Any]) -> Any:
        """One invocation, added to the use of its function."""
        self.scheduler.now = self.clock.now  # the time of objects in S3
        self._use = use = self.uses.setdefault(name, Use())
        meter = Meter(self._clients.reader)
        meter.attach(self._clients.metered)
        engine, began = self._engine_cpu, self.clock.now
        with self.counted_log(use):
            cpu = time.process_time()
            answer = self._handlers[name](dict(event), Context())
            cpu = time.process_time() - cpu
        meter.detach(self._clients.metered)
        use.invocations += 1
        use.calls += meter.round_trips
        use.written += meter.written
        use.read_units += meter.read_units
        use.tables |= {table for table, _ in (*meter.written, *meter.read)}
        use.waited += self.clock.now - began
        use.cpu += cpu - (self._engine_cpu - engine)
        return answer

    def drain(self, records: int = BATCH_RECORDS) -> None:
        """Project, deliver and archive until nothing is left, `records` of a stream at once."""
        while self._project(records) or self._deliver():
            pass
        self._archive()

    def forget_uses(self) -> None:
        """Begin counting again."""
        self.uses.clear()
        self.archived_bytes = 0

    # ------------------------------------------------------------ event sources

    def _project(self, most: int) -> bool:
        projected = False
        for name in PROJECTED:
            waiting = self._records[name]
            if not waiting:
                continue
            table = self.database.tables[name]
            batch = [waiting.popleft() for _ in range(min(most, len(waiting)))]
            records = [self.database.record(table, entry) for entry in batch]
            answer = self.invoke(PROJECT, {"Records": records})
            self.uses[PROJECT].records += len(records)
            _require_all_done(answer, f"projections of {name}")
            projected = True
        return projected

    def _deliver(self) -> bool:
        queue = self.queues[DELIVERIES]
        messages = queue.receive(MAX_BATCH)
        if not messages:
            return False
        answer = self.invoke(DELIVER, {"Records": [queue.record(each) for each in messages]})
        _require_all_done(answer, "deliveries")
        for message in messages:
            queue.delete(message)
        # Lambda receives the batch and deletes it.
        self.uses[DELIVER].remote.update(("sqs receive_message", "sqs delete_message_batch"))
        return True

    def _archive(self) -> None:
        waiting, table = self._records["audit_log"], self.database.tables["audit_log"]
        while waiting:
            batch = [waiting.popleft() for _ in range(min(SEGMENT_ROWS, len(waiting)))]
            records = [self.database.record(table, entry) for entry in batch]
            answer = self.invoke(ARCHIVE, {"Records": records})
            _require_all_done(answer, "archived rows")

    def _heard(self, table: Table, entry: StreamEntry) -> None:
        only = PROJECTED.get(table.name)
        if only is None or passes(self.database.record(table, entry), only):
            self._records[table.name].append(entry)

    # ------------------------------------------------------------ counting

    def timed(self, seconds: float, call: Callable[[], Result]) -> Result:
        """A call to DynamoDB: the clock advances, and the engine's CPU is not the function's."""
        begun = time.process_time()
        try:
            return call()
        finally:
            self._engine_cpu += time.process_time() - begun
            self.clock.now += seconds

    def _count_partners(self) -> None:
        def remote(name: str, act: Callable[[], Any], *_: Any, **__: Any) -> Any:
            self._use.remote[name] += 1
            return self.timed(PARTNER_SECONDS.get(name.partition(" ")[0], PLAIN_SECONDS), act)

        self.scheduler.remote = remote  # type: ignore[method-assign]

    def _archived(self, bucket: str, _key: str, version: Version, _reason: str) -> None:
        if bucket == AUDIT_BUCKET:
            self.archived_bytes += len(version.body or b"")

    @contextmanager
    def counted_log(self, use: Use) -> Iterator[None]:
        """What is logged meanwhile is counted as the use's, and not written."""
        handler: Any = logger.registered_handler
        stream, lines = handler.stream, io.StringIO()
        handler.stream = lines
        try:
            yield
        finally:
            handler.stream = stream
            use.log_bytes += len(lines.getvalue().encode())

    # ------------------------------------------------------------ what functions are built from

    def _outside(self) -> Outside:
        return replace(
            outside_for(self.scheduler, None, self._clients),
            now=lambda: BEGINNING + timedelta(seconds=self.clock.now),
            monotonic=lambda: self.clock.now,
            sleep=self._sleep,
            threads=lambda most: VirtualThreads(self.clock, most),
            lock=threading.Lock,
        )

    def _sleep(self, seconds: float) -> None:
        self.clock.now += seconds

    def _functions(self) -> Mapping[str, Callable[[dict[str, Any], Any], Any]]:
        urls = {setting: self.queues[name].url for setting, name in QUEUES.items()}
        stage = StageSettings(self.tables, urls, merchant_cache_seconds=300)
        self.has_lean_client = stage.of(ProcessSettings, PROCESS).uses_lean_client
        endpoints = Endpoints(
            self.scheduler, PartnerRates.calm, random.Random(0), ReceiverRates.calm()
        )
        partners = Partners(PaymentPartners(sandbox=self._sandbox(stage)), endpoints)
        return {
            name: FUNCTIONS[name].build(name, stage, self.outside, partners)
            for name in (PROCESS, QUERY, PROJECT, DELIVER, ARCHIVE, *SCHEDULED)
        }

    def _sandbox(self, stage: StageSettings) -> Callable[..., Processor]:
        """The processor's own rows are not a cost of the platform, so they are not counted."""
        client: Any = self._clients.reader
        store = Store(client, self.tables, Codec(NoCipher()), lambda: 60.0, self.outside)

        def sandbox(merchant_id: str, config: Callable[[], ProcessorConfig]) -> Processor:
            return SandboxProcessor(
                SandboxChargeRepository(store),
                fee_basis_points=stage.timing.sandbox_fee_basis_points,
                fee_fixed_minor=stage.timing.sandbox_fee_fixed_minor,
                outside=self.outside,
                config=config,
                account=merchant_id,
            )

        return sandbox


def _require_all_done(answer: Mapping[str, Any], what: str) -> None:
    """Raises RuntimeError for a failed record, whose repetition would be counted as well."""
    if answer["batchItemFailures"]:
        raise RuntimeError(f"{what} failed: {answer['batchItemFailures']}")


class CountedClients(SimulatedAws):
    """Clients of the functions: DynamoDB with botocore's events, so that a meter can follow."""

    def __init__(self, stage: CountedStage) -> None:
        super().__init__(stage.aws, None)
        self._stage = stage
        self.metered: Any = InMemoryClient(stage.database)
        self.reader: Any = InMemoryClient(stage.database)
        self._timed = _TimedClient(stage, self.metered)

    def dynamodb(self, *, lean: bool = False) -> Any:
        """DynamoDB, with each call counted and timed."""
        del lean
        return self._timed


class _TimedClient:
    """A DynamoDB client whose calls advance the clock."""

    def __init__(self, stage: CountedStage, client: Any) -> None:
        self._stage, self._client = stage, client
        self.meta, self.exceptions = client.meta, client.exceptions

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        seconds = TRANSACTION_SECONDS if name.startswith("transact_") else PLAIN_SECONDS

        def call(**arguments: Any) -> Any:
            return self._stage.timed(seconds, lambda: method(**arguments))

        return call


class VirtualThreads:
    """A pool of `most` threads in virtual time: work runs at once, and ends when it would end."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._free = [clock.now] * max(most, 1)
        self._ends = clock.now

    def submit(self, work: Callable[..., Result], /, *arguments: Any) -> Future[Result]:
        """Run it now, on the thread that is free first."""
        clock = self._clock
        submitted = clock.now
        lane = min(range(len(self._free)), key=self._free.__getitem__)
        clock.now = max(self._free[lane], submitted)
        future: Future[Result] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001 - raised by result(), as in a real pool
            future.set_exception(error)
        self._free[lane] = clock.now
        self._ends = max(self._ends, clock.now)
        clock.now = submitted
        return future

    def map(self, work: Callable[..., Result], /, *items: Iterable[Any]) -> Iterator[Result]:
        """The results in order; whoever reads them waits for all of them."""
        futures = [self.submit(work, *each) for each in zip(*items, strict=False)]
        self.shutdown()
        return (each.result() for each in futures)

    def first_done(
        self, futures: Iterable[Future[Result]], seconds: float | None
    ) -> set[Future[Result]]:
        """All of them: they were done when they were submitted."""
        del seconds
        self.shutdown()
        return set(futures)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the slowest thread."""
        del cancel_futures
        if wait:
            self._clock.now = max(self._clock.now, self._ends)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
