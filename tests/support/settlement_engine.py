"""The engine of settlement files in memory: a versioned bucket, a queue, tables, and crashes.

Every call to one of them is a step. `kill_at` ends the process before or after the step of that
number, as a crash does: what was done stays done, and nobody gets an answer.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.domain.settlement_deltas import combined
from runtime.domain.settlement_formats.line import ImportedLine
from runtime.domain.settlement_lines import line_bucket, line_partition
from runtime.errors import NotFound, StaleWrite
from runtime.gateways.settlement_objects import SettlementObjects
from runtime.gateways.settlement_queue import (
    ChunkMessage,
    ObjectCreated,
    SettlementQueue,
    read_message,
)
from runtime.models.alert import Alert
from runtime.models.change import ChangeContext
from runtime.models.merchant import MerchantProfile
from runtime.models.settlement import (
    LATER_FILE_LINES,
    LineStatus,
    LineType,
    Settlement,
    SettlementDelta,
    SettlementLine,
    SettlementStatus,
    TypeTotal,
)
from runtime.models.settlement_file import (
    FileStatus,
    SettlementChunk,
    SettlementFile,
    chunk_id,
)
from runtime.services.reconciliation.chunks import work_chunk
from runtime.services.reconciliation.closing import close_file
from runtime.services.reconciliation.dependencies import Line, ReconciliationDependencies
from runtime.services.reconciliation.planning import plan_file
from tests.support.fakes import Clock, client_error
from tests.support.faults import ProcessKilled

SHOP = "mer_01KKMT9200XCDX7SXNA4CE7V13"
BATCH = 7
"""Lines of one commit of the fake matcher."""
AT = "2026-03-14T09:00:00.000Z"


@dataclass
class Steps:
    """Counts calls, and ends the process at one of them."""

    kill_at: int | None = None
    after: bool = False
    made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, call: Callable[[], Any]) -> Any:
        with self._lock:
            self.made += 1
            dies = self.made == self.kill_at
        if dies and not self.after:
            raise ProcessKilled(f"before step {self.made}")
        result = call()
        if dies:
            raise ProcessKilled(f"after step {self.made}")
        return result


@dataclass
class FakeBucket:
    """S3 with versions: what is put under a key again is another version of it."""

    steps: Steps = field(default_factory=Steps)
    versions: dict[str, list[tuple[str, bytes, Any]]] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    on_read: Callable[[str], None] = lambda key: None
    most_read: int = 0
    _numbers: int = 0

    def put(self, key: str, body: bytes) -> str:
        self._numbers += 1
        version = f"v{self._numbers}"
        self.versions.setdefault(key, []).append((version, body, self.clock()))
        return version

    @property
    def objects(self) -> dict[str, bytes]:
        """What stands under each key now."""
        return {key: found[-1][1] for key, found in self.versions.items() if found}

    def _find(self, key: str, version_id: str | None, operation: str) -> tuple[str, bytes, Any]:
        for found in reversed(self.versions.get(key, [])):
            if version_id in (None, found[0]):
                return found
        raise client_error("404", operation, 404)

    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> Any:
        version, body, at = self.steps(lambda: self._find(Key, VersionId, "HeadObject"))
        return {
            "ETag": _etag(body),
            "VersionId": version,
            "ContentLength": len(body),
            "LastModified": at,
        }

    def get_object(
        self,
        *,
        Bucket: str,
        Key: str,
        IfMatch: str | None = None,
        VersionId: str | None = None,
        Range: str | None = None,
    ) -> Any:
        _, body, _ = self.steps(lambda: self._find(Key, VersionId, "GetObject"))
        if IfMatch is not None and IfMatch != _etag(body):
            raise client_error("PreconditionFailed", "GetObject", 412)
        if Range is not None:
            first, _, last = Range.removeprefix("bytes=").partition("-")
            body = body[int(first) : int(last) + 1 if last else None]
        self.on_read(Key)
        self.most_read = max(self.most_read, len(body))
        return {"Body": io.BytesIO(body), "ETag": _etag(body)}

    def upload_fileobj(self, stream: Any, bucket: str, key: str, Config: Any) -> None:
        body = stream.read()
        self.steps(lambda: self.put(key, body))

    def copy_object(self, *, Bucket: str, Key: str, CopySource: Any, **_: Any) -> Any:
        source = self._find(CopySource["Key"], CopySource.get("VersionId"), "CopyObject")
        self.steps(lambda: self.put(Key, source[1]))

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> Any:
        def delete() -> None:
            found = self.versions.get(Key, [])
            self.versions[Key] = [each for each in found if VersionId not in (None, each[0])]

        self.steps(delete)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


@dataclass
class FakeQueue:
    """SQS: a message stays until whoever received it says that it is done."""

    steps: Steps = field(default_factory=Steps)
    waiting: deque[str] = field(default_factory=deque)
    refuse: int = 0

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:
        assert 1 <= len(Entries) <= 10, "as many as SQS takes"
        assert all(entry["MessageGroupId"] for entry in Entries)

        def send() -> Any:
            refused = Entries[: self.refuse]
            self.refuse = 0
            self.waiting.extend(entry["MessageBody"] for entry in Entries[len(refused) :])
            return {"Failed": [{"Id": entry["Id"]} for entry in refused]}

        return self.steps(send)


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
        lines: Sequence[tuple[SettlementLine, SettlementLine]],
        *,
        token: str,
    ) -> None:
        def write() -> None:
            self._must_be(self.settlements[before.id], before)
            for old, _ in lines:
                self._must_be(self.line_rows[old.settlement_id, old.line], old)
            self.settlements[before.id] = after
            for _, new in lines:
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

    `poison` are line numbers at which it fails for a bug, or for an error of its own.
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
    """Planner, workers and closing over fakes, and the loop that Lambda's poller is."""

    steps: Steps = field(default_factory=Steps)
    must_stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.bucket = FakeBucket(self.steps)
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
            clock=self.clock,
        )

    def drop(self, key: str, body: bytes, *, announced: bool = True) -> str:
        """Put an object, of which EventBridge puts an event into the queue."""
        version = self.bucket.put(key, body)
        if announced:
            self.announce(key, version)
        return version

    def announce(self, key: str, version: str | None) -> None:
        uploaded = {"key": key, **({} if version is None else {"version-id": version})}
        event = {"source": "aws.s3", "detail": {"object": uploaded}}
        self.queue.waiting.append(json.dumps(event))

    def handle(self, body: str) -> None:
        """One message, as the function handles it."""
        dependencies = self.dependencies()
        match read_message(body):
            case ObjectCreated() as arrived:
                plan_file(arrived, "message", dependencies)
            case ChunkMessage() as message:
                work_chunk(message, "message", dependencies)
            case message:
                close_file(message.file_id, "message", dependencies)

    def run(self, *, each_twice: bool = False, crashes: int = 0) -> None:
        """Handle messages until none is left. One whose process ended comes again."""
        for _ in range(10_000):
            if not self.queue.waiting:
                return
            body = self.queue.waiting.popleft()
            try:
                self.handle(body)
                if each_twice:
                    self.handle(body)
            except ProcessKilled:
                assert crashes, "the process ended where it should not"
                crashes -= 1
                self.queue.waiting.appendleft(body)
        raise AssertionError("never done")

    def state(self) -> Any:
        """What must be the same however it came about: no times, no versions, no causes."""
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
            "objects": self.bucket.objects,
        }
