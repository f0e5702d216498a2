"""The settlement file engine in memory: a versioned bucket, a queue, tables, and crashes.

Every call to one of them is a step. `Steps.kill_at` ends the process before or after the step of
that number, as a crash does: completed steps stay done, and no caller gets an answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.alerts.models import Alert
from runtime.core.change_context import ChangeContext
from runtime.core.errors import NotFound, StaleWrite
from runtime.merchants.models import MerchantProfile
from runtime.reconciliation.dependencies import Line, ReconciliationDependencies
from runtime.reconciliation.files.bucket import SettlementObjects
from runtime.reconciliation.files.models import (
    FileStatus,
    SettlementChunk,
    SettlementFile,
    chunk_id,
)
from runtime.reconciliation.files.queue import SettlementQueue
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.messages import handle_message
from runtime.reconciliation.settlements.deltas import combined
from runtime.reconciliation.settlements.line_keys import line_bucket, line_partition
from runtime.reconciliation.settlements.models import (
    LATER_FILE_LINES,
    LineStatus,
    LineType,
    Settlement,
    SettlementDelta,
    SettlementLine,
    SettlementStatus,
    TypeTotal,
)
from runtime.reconciliation.settlements.writes import SettlementWrites
from tests.support.engines.faults import ProcessKilled
from tests.support.fakes import Clock
from tests.support.outside import outside
from tests.support.reconciliation.fakes import FakeBucket, FakeQueue, Steps, object_created

SHOP = "mer_01KKMT9200XCDX7SXNA4CE7V13"
BATCH = 7
"""Lines of one commit of the fake matcher."""
AT = "2026-03-14T09:00:00.000Z"


@dataclass
class FakeTables:
    """settlement_files, settlement_chunks, settlements and settlement_lines."""

    steps: Steps = field(default_factory=Steps)
    files: dict[str, SettlementFile] = field(default_factory=dict)
    rows: dict[str, SettlementChunk] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    line_rows: dict[tuple[str, int], SettlementLine] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    # ------------------------------------------------ as SettlementChunkRepository

    def put_new_file(self, file: SettlementFile) -> SettlementFile:
        return self._step(lambda: self.files.setdefault(file.id, file))

    def file(self, file_id: str) -> SettlementFile | None:
        return self._step(lambda: self.files.get(file_id))

    def advance(self, before: SettlementFile, after: SettlementFile, *, token: str) -> None:
        def write() -> None:
            self._must_be(self.files[before.id], before)
            self.files[before.id] = after

        self._step(write)

    def put_chunks(
        self, file: SettlementFile, chunks: Sequence[SettlementChunk], *, token: str
    ) -> None:
        def write() -> None:
            self._must_be(self.files[file.id], file)
            self.rows.update({chunk.id: chunk for chunk in chunks})

        self._step(write)

    def chunk(self, file_id: str, number: int) -> SettlementChunk | None:
        return self._step(lambda: self.rows.get(chunk_id(file_id, number)))

    def chunks(self, file: SettlementFile) -> Iterator[SettlementChunk]:
        keys = [chunk_id(file.id, number) for number in range(file.chunks)]
        found: list[SettlementChunk] = self._step(lambda: [self.rows[key] for key in keys])
        return iter(found)

    def finish(
        self, before: SettlementChunk, after: SettlementChunk, context: ChangeContext, token: str
    ) -> None:
        def write() -> None:
            file = self.files[before.file_id]
            self._must_be(self.rows[before.id], before)
            if file.status is not FileStatus.PROCESSING:
                raise StaleWrite("settlement_files", before.id)
            self.rows[before.id] = after
            self.files[file.id] = file.model_copy(
                update={"chunks_done": file.chunks_done + 1, "version": file.version + 1}
            )

        self._step(write)

    def settlement(self, settlement_id: str) -> Settlement | None:
        return self._step(lambda: self.settlements.get(settlement_id))

    def put_new_settlement(self, settlement: Settlement) -> None:
        self._step(lambda: self.settlements.setdefault(settlement.id, settlement))

    def lines(self, settlement_id: str, lines: Sequence[int]) -> list[SettlementLine]:
        found: list[SettlementLine] = self._step(
            lambda: [self.line_rows[settlement_id, line] for line in lines]
        )
        return found

    def close(
        self,
        before: Settlement,
        after: Settlement,
        settling: SettlementWrites,
        *,
        token: str,
    ) -> None:
        def write() -> None:
            self._must_be(self.settlements[before.id], before)
            for old, _ in settling.lines:
                assert old is not None
                self._must_be(self.line_rows[old.settlement_id, old.line], old)
            self.settlements[before.id] = after
            for _, new in settling.lines:
                self.line_rows[new.settlement_id, new.line] = new

        self._step(write)

    # ------------------------------------------------ as AlertRepository and merchants

    def record(self, alert: Alert) -> bool:
        return self._step(lambda: self.alerts.setdefault(alert.id, alert) is alert)

    def require(self, merchant_id: str) -> MerchantProfile:
        if merchant_id != SHOP:
            raise NotFound("no such merchant")
        return MerchantProfile.model_construct(id=SHOP, merchant_id=SHOP, index_buckets=1)

    def _step(self, call: Callable[[], Any]) -> Any:
        def locked() -> Any:
            with self.lock:
                return call()

        return self.steps(locked)

    @staticmethod
    def _must_be(now: Any, before: Any) -> None:
        if now.version != before.version:
            raise StaleWrite("fake", before.id if hasattr(before, "id") else str(before.line))


@dataclass
class FakeMatcher:
    """Stands in for record_batch: every readable line is matched, and counted once.

    `poison` are line numbers at which it fails with a bug, or with an error of its own.
    """

    tables: FakeTables
    poison: Mapping[int, Exception] = field(default_factory=dict)
    seen: list[tuple[str, int]] = field(default_factory=list)

    def __call__(
        self,
        lines: Sequence[Line],
        chunk: SettlementChunk,
        file: SettlementFile,
        merchant: MerchantProfile,
        context: ChangeContext,
    ) -> SettlementChunk:
        taken = lines[:BATCH]
        for line in taken:
            if isinstance(line, ImportedLine) and line.number in self.poison:
                raise self.poison[line.number]
        self.seen += [(file.id, line.number) for line in taken]
        after: SettlementChunk = self.tables._step(lambda: self._commit(taken, chunk, file))
        return after

    def _commit(
        self, lines: Sequence[Line], chunk: SettlementChunk, file: SettlementFile
    ) -> SettlementChunk:
        tables = self.tables
        tables._must_be(tables.rows[chunk.id], chunk)
        deltas = dict(chunk.deltas)
        for line in lines:
            settlement = self._joined(_settlement_id(line, file), file)
            number = tables.numbers.setdefault(
                (settlement.id, getattr(line, "identity", f"{file.id}#{line.number}")),
                settlement.file_ids.index(file.id) * LATER_FILE_LINES + line.number,
            )
            row = _judged(line, number, settlement, file, chunk)
            earlier = tables.line_rows.get((settlement.id, number))
            delta = _delta(row)
            if earlier is not None:
                delta = combined(delta, _negative(_delta(earlier)))
                row = row.model_copy(update={"version": earlier.version + 1})
            tables.line_rows[settlement.id, number] = row
            before = deltas.get(settlement.id, SettlementDelta())
            deltas[settlement.id] = combined(before, delta)
        after = chunk.model_copy(
            update={
                "deltas": deltas,
                "lines_done": chunk.lines_done + len(lines),
                "version": chunk.version + 1,
            }
        )
        tables.rows[chunk.id] = after
        return after

    def _joined(self, settlement_id: str, file: SettlementFile) -> Settlement:
        known = self.tables.settlements.get(settlement_id) or Settlement(
            id=settlement_id,
            merchant_id=file.merchant_id,
            date=file.date or "2026-03-14",
            status=SettlementStatus.PROCESSING,
            source=file.key,
            sha256=file.sha256 or "",
            created_at=AT,
            updated_at=AT,
            changed_by="test",
            request_id="test",
            cause="test",
        )
        if file.id not in known.file_ids:
            known = known.model_copy(
                update={"file_ids": (*known.file_ids, file.id), "version": known.version + 1}
            )
        self.tables.settlements[settlement_id] = known
        return known


def _settlement_id(line: Line, file: SettlementFile) -> str:
    return f"set_{line.payout_reference or file.name}"


def _judged(
    line: Line, number: int, settlement: Settlement, file: SettlementFile, chunk: SettlementChunk
) -> SettlementLine:
    values: dict[str, Any] = {"status": LineStatus.INVALID, "reason": getattr(line, "reason", None)}
    if isinstance(line, ImportedLine):
        status = LineStatus.DUPLICATE if line.number in chunk.duplicates else LineStatus.MATCHED
        values = {
            "status": status,
            "type": line.type,
            "identity": line.identity,
            "amount": line.amount,
            "fee": line.fee,
            "net": line.net,
            "currency": line.currency,
        }
    is_open = values["status"] is not LineStatus.MATCHED
    return SettlementLine(
        settlement_bucket=line_partition(settlement.id, number),
        line=number,
        settlement_id=settlement.id,
        merchant_id=file.merchant_id,
        file_id=file.id,
        file_line=line.number,
        exception_key="open" if is_open else None,
        created_at=AT,
        updated_at=AT,
        changed_by="test",
        request_id="test",
        cause="test",
        **values,
    )


def _delta(row: SettlementLine) -> SettlementDelta:
    delta: dict[str, Any] = {
        "counts": {row.status: 1},
        "open_exceptions": int(row.exception_key is not None),
        "buckets": (line_bucket(row.line),),
    }
    if row.currency is not None:
        total = TypeTotal(amount=row.amount or 0, fee=row.fee or 0, net=row.net or 0, count=1)
        delta["by_type"] = {str(row.type): {row.currency: total}}
        if row.type is LineType.PAYOUT:
            delta |= {"payout": {row.currency: -(row.net or 0)}, "payout_lines": (row.line,)}
    return SettlementDelta(**delta)


def _negative(delta: SettlementDelta) -> SettlementDelta:
    return SettlementDelta(
        counts={status: -count for status, count in delta.counts.items()},
        open_exceptions=-delta.open_exceptions,
        by_type={
            kind: {
                c: TypeTotal(amount=-t.amount, fee=-t.fee, net=-t.net, count=-t.count)
                for c, t in totals.items()
            }
            for kind, totals in delta.by_type.items()
        },
        payout={c: -amount for c, amount in delta.payout.items()},
    )


@dataclass
class SettlementEngine:
    """Planner, workers and closing on fakes, and a loop in place of Lambda's poller."""

    steps: Steps = field(default_factory=Steps)
    must_stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.bucket = FakeBucket(self.steps, clock=self.clock)
        self.queue = FakeQueue(self.steps)
        self.tables = FakeTables(self.steps)
        self.matcher = FakeMatcher(self.tables)

    def dependencies(self) -> ReconciliationDependencies:
        tables: Any = self.tables
        bucket: Any = self.bucket
        queue: Any = self.queue
        return ReconciliationDependencies(
            objects=SettlementObjects(bucket, "settlements"),
            queue=SettlementQueue(queue, "queue"),
            chunks=tables,
            merchants=tables,
            alerts=tables,
            record=self.matcher,
            must_stop=self.must_stop,
            outside=outside(now=self.clock),
        )

    def drop(self, key: str, body: bytes, *, announced: bool = True) -> str:
        """Put an object, and queue its EventBridge event."""
        version = self.bucket.put(key, body)
        if announced:
            self.announce(key, version)
        return version

    def announce(self, key: str, version: str | None) -> None:
        self.queue.waiting.append(object_created(key, version))

    def handle(self, body: str) -> None:
        """One message, handled as by the function."""
        handle_message(body, "message", self.dependencies())

    def run(self, *, each_twice: bool = False, crashes: int = 0) -> None:
        """Handle messages until none is left. A message whose process died is delivered again."""
        for _ in range(10_000):
            if not self.queue.waiting:
                return
            body = self.queue.waiting.popleft()
            try:
                self.handle(body)
                if each_twice:
                    self.handle(body)
            except ProcessKilled:
                assert crashes, "the process ended unexpectedly"
                crashes -= 1
                self.queue.waiting.appendleft(body)
        raise AssertionError("never done")

    def state(self) -> Any:
        """What must be the same in every run: no times, no versions, no causes."""
        moving = {"version", "created_at", "updated_at", "completed_at", "cause", "request_id"}
        keep = moving | {"read_version_id"}
        return {
            "files": {k: v.model_dump(exclude=keep) for k, v in self.tables.files.items()},
            "settlements": {
                k: v.model_dump(exclude=moving) for k, v in self.tables.settlements.items()
            },
            "lines": {k: v.model_dump(exclude=moving) for k, v in self.tables.line_rows.items()},
            "chunks": {k: v.model_dump(exclude=moving) for k, v in self.tables.rows.items()},
            "alerts": {k: v.model_dump() for k, v in self.tables.alerts.items()},
            "objects": dict(self.bucket.objects),
        }
