"""Archives the audit log in write-once storage: segments from the stream, signed roots on schedule.

Both are safe to run twice, concurrently, late or after a partial run. A segment's name includes the
hash of its content, so writing it again changes nothing, and rows may appear in two segments. A
root is written only if its number is free: of two concurrent runs one wins, and the other continues
after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from pydantic import ValidationError

from runtime.alerts.models import AlertFacts, AlertType, Window
from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.audit.archive.bucket import AuditArchive, RootSigner
from runtime.audit.archive.merkle import leaf_hash
from runtime.audit.archive.rules import (
    LATE_DAYS,
    MAX_SEGMENTS_PER_ROOT,
    RootStatement,
    Segment,
    SignedRoot,
    day_prefix,
    next_root,
    read_segment_name,
    root_name,
    segment_day,
    segment_name,
)
from runtime.audit.chain import hash_of
from runtime.audit.models import ROWS_PREFIX, AuditRow
from runtime.core.canonical_json import canonical_json
from runtime.core.change_context import AUDIT_TAMPERED
from runtime.core.fields import PLATFORM
from runtime.core.observability import logger
from runtime.dynamodb.codec import Codec, Item
from runtime.streams.images import text_of
from runtime.streams.records import Failed, Kind, StreamRecord

UNREADABLE: Final = "unreadable"
"""The only member of a line whose item is not a valid audit row; its value is the stored item."""
FORGED: Final = "FORGED"
"""Kind of tampering: a row was inserted that the projector did not write."""
MAX_LOST_RACES: Final = 10


@dataclass(frozen=True)
class ArchiveDependencies:
    """Dependencies of archiving. `max_segments` limits one root."""

    archive: AuditArchive
    signer: RootSigner
    alerts: AlertRepository
    codec: Codec
    clock: Callable[[], datetime]
    must_stop: Callable[[], bool]
    max_segments: int = MAX_SEGMENTS_PER_ROOT


@dataclass(frozen=True, slots=True)
class ClosingReport:
    """What a scheduled run signed, and whether it covered every segment."""

    roots: int
    segments: int
    rows: int
    last_number: int
    complete: bool

    def answer(self) -> dict[str, Any]:
        """For the log and the invoker."""
        return {
            "roots": self.roots,
            "segments": self.segments,
            "rows": self.rows,
            "last_number": self.last_number,
            "complete": self.complete,
        }


# -------------------------------------------------------------------- segments, by the stream


def archive_rows(records: Sequence[StreamRecord], deps: ArchiveDependencies) -> Failed:
    """Archive the rows inserted in a stream batch, and raise an alert for any other change.

    Returns the records to retry: the whole batch if its segment could not be written, otherwise
    those whose alert could not be raised.
    """
    new = [record for record in records if record.kind is Kind.INSERT]
    rows = {record.sequence_number: _row_of(record.new or {}, deps.codec) for record in new}
    if new:
        lines = [_line(rows[record.sequence_number], record.new or {}) for record in new]
        body = b"".join(line + b"\n" for line in lines)
        day = segment_day(new[0].arrived_at, deps.clock())
        name = segment_name(day, new[0].sequence_number, len(new), body)
        try:
            is_new = deps.archive.add_segment(name, body)
        except Exception:  # noqa: BLE001 - the rows stay in the stream and are retried
            logger.exception("a segment could not be written", segment=name)
            return frozenset(record.sequence_number for record in records)
        logger.info("archived", segment=name, rows=len(new), is_new=is_new)
    failed = set()
    for record in records:
        kind = _tampering(record, rows.get(record.sequence_number))
        if kind is not None and not _report_tampering(record, kind, deps):
            failed.add(record.sequence_number)
    return frozenset(failed)


def _row_of(item: Item, codec: Codec) -> AuditRow | None:
    try:
        return codec.to_row(AuditRow.table_schema, item, AuditRow)
    except ValidationError:
        return None


def _line(row: AuditRow | None, item: Item) -> bytes:
    return canonical_json({UNREADABLE: dict(item)} if row is None else row.model_dump(mode="json"))


def _tampering(record: StreamRecord, row: AuditRow | None) -> str | None:
    """The kind of tampering, if any: rows are only inserted, and their hash matches."""
    if record.kind is not Kind.INSERT:
        return record.kind.value
    return None if row is not None and row.hash == hash_of(row) else FORGED


def _report_tampering(record: StreamRecord, kind: str, deps: ArchiveDependencies) -> bool:
    """Log one case of tampering and raise an alert. Returns False if it must be retried."""
    item = record.new or record.old or {}
    entity_id, sequence = text_of(item, "entity_id"), text_of(item, "sequence")
    logger.error(
        AUDIT_TAMPERED,
        entity=entity_id,
        sequence=sequence,
        kind=kind,
        record=record.sequence_number,
    )
    at = record.arrived_at
    tampering = AlertFacts(
        AlertType.OUT_OF_BAND,
        "audit_row",
        entity_id,
        text_of(item, "merchant_id") or PLATFORM,
        {"sequence": sequence, "kind": kind},
        at,
        Window(at, record.sequence_number),
    )
    try:
        raise_alert(tampering, deps.alerts)
    except Exception:  # noqa: BLE001 - the record is retried
        logger.exception("an alert could not be raised", record=record.sequence_number)
        return False
    return True


# -------------------------------------------------------------------- roots, on schedule


def close(deps: ArchiveDependencies) -> ClosingReport:
    """Sign roots over all segments that no root covers yet, as far as time allows."""
    roots = segments = rows = lost = 0
    previous, covered = _covered(deps)
    complete = False
    while not deps.must_stop():
        found = _uncovered(previous, covered, deps)
        if not found:
            complete = True
            break
        statement = next_root(previous, found, deps.clock(), deps.signer.key_arn)
        names = tuple(segment.name for segment in found)
        root = SignedRoot(statement=statement, signature=deps.signer.sign(statement), names=names)
        if not deps.archive.add_root(root):
            lost += 1
            logger.info("another run signed this number", number=statement.number)
            if lost > MAX_LOST_RACES:
                break
            previous, covered = _covered(deps)
            continue
        roots, segments, rows = roots + 1, segments + len(found), rows + statement.rows
        covered.update(map(_leaf, names))
        previous = statement
    last = 0 if previous is None else previous.number
    return ClosingReport(roots, segments, rows, last, complete)


def _covered(deps: ArchiveDependencies) -> tuple[RootStatement | None, set[bytes]]:
    """The last root, and name hashes of covered segments on days that may still get new ones."""
    names = deps.archive.root_names()
    if not names:
        return None, set()
    last = deps.archive.root(names[-1]).statement
    assert names[-1] == root_name(last.number), f"{names[-1]} holds root {last.number}"
    covered: set[bytes] = set()
    for name in reversed(names):
        root = deps.archive.root(name)
        covered.update(map(_leaf, root.names))
        if date.fromisoformat(root.statement.day) < _first_day(last):
            break
    return last, covered


def _uncovered(
    previous: RootStatement | None, covered: set[bytes], deps: ArchiveDependencies
) -> list[Segment]:
    """Segments that no root covers yet, by name, up to the limit of one root."""
    after = "" if previous is None else day_prefix(_first_day(previous))
    return list(islice(_open_segments(after, covered, deps), deps.max_segments))


def _open_segments(after: str, covered: set[bytes], deps: ArchiveDependencies) -> Iterator[Segment]:
    for name in deps.archive.names(ROWS_PREFIX, after):
        segment = read_segment_name(name)
        if segment is not None and _leaf(name) not in covered:
            yield segment


def _first_day(last: RootStatement) -> date:
    """Every segment of an earlier day is covered by a root.

    A root covers names in order, so segments beyond a full root sort after its last name, and newer
    segments are at most as old as a stream batch can be.
    """
    closed = date.fromisoformat(last.day) - timedelta(days=LATE_DAYS)
    segment = read_segment_name(last.last)
    return closed if segment is None else min(closed, segment.day)


def _leaf(name: str) -> bytes:
    return leaf_hash(name.encode())
