"""Reconciling one settlement file: every line gets a status, what matches is settled and booked.

The file is read as a stream and judged in chunks. A chunk is one transaction: its lines, the
transactions it settles, their bookings, and the settlement's checkpoint. So a crash loses nothing
and repeats nothing, two runs over one file cannot both write a chunk, and the same file again
changes nothing: the settlement's id is made from the file's content.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice

from runtime.domain.ids import new_id
from runtime.domain.instants import to_instant
from runtime.domain.settlement import (
    HEADER,
    InvalidLine,
    ParsedLine,
    parse_line,
)
from runtime.errors import NotFound, StaleWrite
from runtime.gateways.settlement_files import MAX_LINE_BYTES, FileVersion, SettlementFiles
from runtime.models.change import ChangeContext
from runtime.models.merchant import MerchantProfile
from runtime.models.settlement import (
    SETTLEMENT_PREFIX,
    LineStatus,
    Settlement,
    SettlementStatus,
)
from runtime.repositories.settlements import ChunkContended, SettlementRepository
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.services.reconciliation.file_chunk import chunk_of

CHUNK_LINES = 24
"""Lines of one transaction: 4 writes each and the checkpoint stay below DynamoDB's 100."""
MAX_CHUNK_TRIES = 5
RECONCILER = "reconcile"
_KEY = re.compile(r"reconciliation/(?P<merchant>mer_[0-9A-Z]{26})/(?P<date>\d{4}-\d{2}-\d{2})\.csv")
_FINAL = frozenset(SettlementStatus) - {SettlementStatus.PROCESSING}


class UnusableFile(Exception):
    """The object's name belongs to no merchant and day, so only operators can be told."""


class NoTimeLeft(Exception):
    """A run came no further; asking for another like it would go on for ever."""


@dataclass(frozen=True)
class ReconciliationDesk:
    """What reconciling works with; `must_stop` says that the invocation's time is nearly over."""

    files: SettlementFiles
    settlements: SettlementRepository
    merchants: MerchantProfiles
    must_stop: Callable[[], bool]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one run over a file came to; `finished` is False when another run must go on."""

    settlement_id: str
    status: SettlementStatus
    lines: int
    finished: bool


def reconcile_file(file: FileVersion, request_id: str, desk: ReconciliationDesk) -> FileReport:
    """Reconcile one file of the settlement bucket, from where an earlier run stopped.

    Raises UnusableFile, StaleWrite when another run over the same file is at work, and NoTimeLeft
    when reaching the checkpoint took all the time there was.
    """
    merchant, day = _owner_of(file.key, desk)
    context = ChangeContext(changed_by=RECONCILER, request_id=request_id, cause=request_id)
    digest = desk.files.digest(file)
    settlement = _open(file.key, merchant, day, digest.sha256, context, desk)
    if settlement.status in _FINAL:
        return _report(settlement, finished=True)
    lines = desk.files.lines(file, digest)
    begun_with = settlement.lines_done
    if refusal := _header_refusal(next(lines, "")):
        return _report(_finish(settlement, SettlementStatus.REJECTED, refusal, desk), finished=True)
    for chunk in _chunks(lines, settlement.last_line):
        if desk.must_stop():
            if settlement.lines_done == begun_with:
                raise NoTimeLeft(f"{file.key}: no chunk was judged after line {begun_with}")
            return _report(settlement, finished=False)
        settlement = _record(chunk, settlement, merchant, context, desk)
    exceptions = set(settlement.counts) - {LineStatus.MATCHED}
    status = (
        SettlementStatus.COMPLETED_WITH_EXCEPTIONS if exceptions else SettlementStatus.COMPLETED
    )
    return _report(_finish(settlement, status, None, desk), finished=True)


def _owner_of(key: str, desk: ReconciliationDesk) -> tuple[MerchantProfile, str]:
    match = _KEY.fullmatch(key)
    if match is None:
        raise UnusableFile(f"{key!r} is not reconciliation/<merchant>/<YYYY-MM-DD>.csv")
    try:
        date.fromisoformat(match["date"])
        return desk.merchants.require(match["merchant"]), match["date"]
    except ValueError as error:
        raise UnusableFile(f"{key!r} names no day of the calendar") from error
    except NotFound as error:
        raise UnusableFile(f"{key!r} names a merchant that does not exist") from error


def _open(
    key: str,
    merchant: MerchantProfile,
    day: str,
    sha256: str,
    context: ChangeContext,
    desk: ReconciliationDesk,
) -> Settlement:
    now = desk.clock()
    content = hashlib.sha256("\n".join((merchant.id, day, sha256)).encode()).hexdigest()
    return desk.settlements.open(
        Settlement(
            id=f"{SETTLEMENT_PREFIX}{content[:26].upper()}",
            merchant_id=merchant.id,
            date=day,
            status=SettlementStatus.PROCESSING,
            source=key,
            sha256=sha256,
            last_line=1,
            created_at=to_instant(now),
            updated_at=to_instant(now),
            **context.stamp(),
        ),
        token=new_id("opn", now),
    )


def _header_refusal(header: str | None) -> str | None:
    names = tuple(name.strip().lower() for name in _cells(header or ""))
    if names == HEADER:
        return None
    shown = (header or "")[:200]
    return f"the first line is {shown!r}; expected {','.join(HEADER)}"


def _chunks(
    lines: Iterable[str | None], last_line: int
) -> Iterator[list[ParsedLine | InvalidLine]]:
    numbered = enumerate(lines, start=2)
    fresh = ((n, text) for n, text in numbered if n > last_line and (text is None or text.strip()))
    while chunk := [_parse(number, text) for number, text in islice(fresh, CHUNK_LINES)]:
        yield chunk


def _parse(number: int, text: str | None) -> ParsedLine | InvalidLine:
    if text is None:
        return InvalidLine(number, f"longer than {MAX_LINE_BYTES} bytes")
    try:
        cells = _cells(text)
    except csv.Error as error:
        return InvalidLine(number, f"not readable as CSV: {error}")
    return parse_line(number, cells)


def _cells(line: str) -> list[str]:
    return next(csv.reader([line], strict=True), [])


def _record(
    lines: list[ParsedLine | InvalidLine],
    settlement: Settlement,
    merchant: MerchantProfile,
    context: ChangeContext,
    desk: ReconciliationDesk,
) -> Settlement:
    for _ in range(MAX_CHUNK_TRIES):
        wanted = [line.transaction_id for line in lines if isinstance(line, ParsedLine)]
        ours = desk.settlements.transactions(wanted)
        chunk = chunk_of(lines, ours, settlement, merchant, context, desk.clock())
        try:
            desk.settlements.record_chunk(
                settlement, chunk.after, chunk.lines, chunk.settling, token=chunk.token
            )
        except ChunkContended:
            continue
        return chunk.after
    raise StaleWrite("transactions", f"of {settlement.id} kept changing while they were judged")


def _finish(
    settlement: Settlement, status: SettlementStatus, reason: str | None, desk: ReconciliationDesk
) -> Settlement:
    now = desk.clock()
    operation = new_id("fin", now)
    finished = settlement.model_copy(
        update={
            "status": status,
            "rejection_reason": reason,
            "completed_at": to_instant(now),
            "updated_at": to_instant(now),
            "version": settlement.version + 1,
            "cause": operation,
        }
    )
    desk.settlements.advance(settlement, finished, token=operation)
    return finished


def _report(settlement: Settlement, *, finished: bool) -> FileReport:
    return FileReport(settlement.id, settlement.status, settlement.lines_done, finished)
