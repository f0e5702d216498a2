"""Streams of audited tables to the audit log: one row per version and per out-of-band change.

The rows of an entity are a chain in version order, so its records are processed one by one, and
each row is hashed over the previous one. A record may be redelivered (its row exists), late (newer
rows exist) or lost: one lost record is rebuilt from the next record's old image; if more are
missing, the record is parked as a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.audit.actions import REBUILT
from runtime.audit.chain import (
    FIRST,
    is_before_record,
    is_beginning,
    is_of_record,
    is_outside,
    outside_key,
    version_key,
    version_known,
)
from runtime.audit.models import AuditRow
from runtime.audit.projection.balance_attribution import BalanceAttribution
from runtime.audit.projection.rows import (
    AUDITED,
    AuditableChange,
    AuditRows,
    is_rebuilt,
    out_of_band_alert,
    out_of_band_reason,
)
from runtime.audit.projection.shard_attribution import is_shard
from runtime.audit.repository import AuditRepository
from runtime.core.change_context import OUT_OF_BAND
from runtime.core.observability import logger
from runtime.core.outside import Threads
from runtime.core.timestamps import is_timestamp
from runtime.dynamodb.errors import InvalidRequest
from runtime.streams.images import text_of
from runtime.streams.records import INVALID, Failed, Kind, Parking, StreamRecord, park_record

PARALLEL_ENTITIES: Final = 8
"""Chains written in parallel: they are independent, and a Lambda has little CPU."""
RECENT_ROWS: Final = 10
"""How many rows back to look for a record's old image if it precedes that image's version: only
late records of out-of-band changes can come after it."""
RESTORED: Final = "a deleted row was restored"
MAX_TRIES: Final = 3
"""Attempts per record when another invocation appends concurrently."""


class _Moved(Exception):
    """Another invocation appended a row of this entity."""


class _NotAuditable(Exception):
    """The record cannot be audited and retrying will not help; the text says why."""


@contextmanager
def _reading_the_log() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        # The row was edited out of band: verification reports it, and an operator repairs it.
        raise _NotAuditable("the end of its entity's chain cannot be read") from error


@contextmanager
def _making_a_row() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, AssertionError) as error:
        # Only an out-of-band write produces such an image; a retry sees the same.
        raise _NotAuditable("its images cannot become an audit row") from error


@dataclass(frozen=True)
class AuditProjection:
    """Writes the audit log, and raises an alert for every out-of-band change."""

    audit: AuditRepository
    rows: AuditRows
    deltas: BalanceAttribution
    parking: Parking
    alerts: AlertRepository
    threads: Callable[[int], Threads]

    def __call__(self, records: Sequence[StreamRecord]) -> Failed:
        """Write the rows of all records of audited tables. Returns the records to retry."""
        changes = [AuditableChange.of(record) for record in records if record.table in AUDITED]
        if not changes:
            return frozenset()
        unexplained = self.deltas.unexplained(changes)
        by_entity: dict[str, list[AuditableChange]] = {}
        for each in changes:
            if _is_recorded_by_entries(each, unexplained):
                continue
            by_entity.setdefault(each.entity_id, []).append(each)
        with self.threads(PARALLEL_ENTITIES) as pool:
            failed = pool.map(
                lambda entity: _Chain(self, entity, unexplained).follow(by_entity[entity]),
                by_entity,
            )
            return frozenset(number for numbers in failed for number in numbers)


def _is_recorded_by_entries(change: AuditableChange, unexplained: Mapping[str, str]) -> bool:
    """Whether a posting explains the change of a balance shard; its entries are the record.

    A new shard may also be a deleted one that was restored, so its chain is read.
    """
    return (
        change.record.kind is Kind.MODIFY
        and is_shard(change)
        and change.record.sequence_number not in unexplained
        and out_of_band_reason(change) is None
    )


@dataclass
class _Chain:
    """The chain of one entity while a batch is processed. Only this thread appends to it."""

    projection: AuditProjection
    entity_id: str
    unexplained: Mapping[str, str]
    _recent: list[AuditRow] | None = field(default=None)

    def follow(self, changes: Sequence[AuditableChange]) -> list[str]:
        """Write the rows in order. From the first failure on, all records are returned to retry."""
        for position, each in enumerate(changes):
            try:
                if not self._record(each):
                    raise RuntimeError("the record could not be parked")
            except Exception:  # noqa: BLE001 - it is retried together with the records after it
                logger.exception(
                    "an audit row could not be written",
                    entity=self.entity_id,
                    request_id=each.record.request_id,
                )
                return [later.record.sequence_number for later in changes[position:]]
        return []

    def _record(self, change: AuditableChange) -> bool:
        for _ in range(MAX_TRIES):
            try:
                return self._write(change)
            except _Moved:
                self._recent = None
            except _NotAuditable as error:
                return park_record(self.projection.parking, change.record, str(error))
            except InvalidRequest:
                return park_record(self.projection.parking, change.record, INVALID)
        raise RuntimeError(f"the chain of {self.entity_id} keeps changing concurrently")

    def _write(self, change: AuditableChange) -> bool:
        """Write the row of the record unless it exists; an existing row is not judged again."""
        reason = out_of_band_reason(change)
        if is_shard(change):
            return self._write_shard(change, reason)
        if reason is None and self._began(change):
            return True
        there = self._row_of_version(change) if reason is None else None
        same = there is not None and there.image_hash == change.new_hash
        if same and self._was_deleted_before(change):
            reason = RESTORED
        elif there is not None and there.action != REBUILT:
            if same:
                return True
            reason = f"version {change.new_version} was recorded before with other values"
        reason = reason or self.unexplained.get(change.record.sequence_number)
        past = self._past_of(change, foreign=reason is not None)
        if past.is_recorded:
            return True
        if reason is None and same:
            return True  # the row was rebuilt correctly
        if not past.has_old_image and not self._rebuild(change):
            reason = f"the record of a version before {change.old_version + 1} is missing"
            return park_record(self.projection.parking, change.record, reason)
        if reason is None:
            self._version(change)
        else:
            self._out_of_band(change, reason)
        return True

    def _write_shard(self, change: AuditableChange, reason: str | None) -> bool:
        """Write the row of a shard's change that no posting explains.

        The versions between such rows have no rows, so none can be missing.
        """
        reason = reason or self.unexplained.get(change.record.sequence_number)
        if reason is None and self._was_deleted_before(change):
            reason = RESTORED
        if reason is not None and not self._past_of(change, foreign=True).is_recorded:
            self._out_of_band(change, reason)
        return True

    # ------------------------------------------------------------ existing rows

    def _row_of_version(self, change: AuditableChange) -> AuditRow | None:
        """The row at the record's version."""
        head, key = self._head(), version_key(change.new_version)
        if head is None or head.sequence < key:
            return None
        with _reading_the_log():
            row = self.projection.audit.get(self.entity_id, key)
        # An out-of-band change has the place of a version only where it began the chain.
        other = row is not None and is_beginning(row) and row.image_hash != change.new_hash
        return None if other else row

    def _was_deleted_before(self, change: AuditableChange) -> bool:
        """Whether the recorded row was deleted since, and this record inserts the same again."""
        return change.record.kind is Kind.INSERT and any(
            not row.image_hash and is_before_record(row, change.record.sequence_number)
            for row in self._since(change)
        )

    def _past_of(self, change: AuditableChange, *, foreign: bool) -> _Past:
        """What the rows since the record's old version say about it."""
        leads = change.record.old is None
        for row in self._since(change):
            if _is_row_of(row, change, foreign=foreign):
                return _Past(is_recorded=True)
            leads = leads or row.image_hash == change.old_hash
        head = self._head()
        if not leads and head is not None and is_outside(head.sequence):
            with _reading_the_log():
                self._recent = self.projection.audit.latest(self.entity_id, RECENT_ROWS)
            leads = any(row.image_hash == change.old_hash for row in self._recent)
        return _Past(has_old_image=leads)

    def _since(self, change: AuditableChange) -> Iterator[AuditRow]:
        head, first = self._head(), version_key(change.old_version)
        if head is None:
            return
        if head.sequence <= first:
            yield head  # the usual case; otherwise the record is late or redelivered
            return
        with _reading_the_log():
            yield from self.projection.audit.since(self.entity_id, first)

    # ------------------------------------------------------------ changes by the application

    def _began(self, change: AuditableChange) -> bool:
        """Write the first row of a new entity without reading the chain; False if it is not new.

        Every chain begins in the place of version 1, so DynamoDB refuses the write where there is
        one: the record was redelivered, or the same id had been used out of band.
        """
        if change.record.kind is not Kind.INSERT or self._recent is not None:
            return False
        if change.record.sequence_number in self.unexplained:
            return False
        with _making_a_row():
            row = self.projection.rows.of_version(change, FIRST, None)
        with _reading_the_log():
            if self.projection.audit.append(row) is not None:
                return False
        self._recent = [row]
        return True

    def _version(self, change: AuditableChange) -> None:
        key, head = version_key(change.new_version), self._head()
        if head is not None and head.sequence >= key:
            key = self._last_place(change)  # its own place is taken or was passed
        with _making_a_row():
            row = self.projection.rows.of_version(change, key, self._head())
        self._append(row)

    def _rebuild(self, change: AuditableChange) -> bool:
        """Write the row of the one change missing before this one. False if more are missing."""
        head, left, rows = self._head(), change.record.old or {}, self.projection.rows
        with _making_a_row():
            known = 0 if head is None else version_known(head)
            if change.old_version > known:
                if change.old_version > known + 1 or not is_timestamp(text_of(left, "updated_at")):
                    return False
                key = version_key(change.old_version)
                row = rows.of_lost_version(change, key, self._head())
            else:
                key = self._last_place(change)
                row = rows.of_lost_out_of_band_change(change, key, self._head())
        if is_rebuilt(row):
            self._raise_alert(row, "the record of an out-of-band change was lost")
        self._append(row)
        return True

    # ------------------------------------------------------------ out-of-band changes

    def _out_of_band(self, change: AuditableChange, reason: str) -> None:
        with _making_a_row():
            key = self._last_place(change)
            row = self.projection.rows.of_out_of_band_change(change, key, self._head())
        # The alert first: raising it is idempotent, and an existing row ends the processing.
        self._raise_alert(row, reason)
        self._append(row)

    def _raise_alert(self, row: AuditRow, reason: str) -> None:
        logger.error(
            OUT_OF_BAND,
            entity=row.entity_id,
            sequence=row.sequence,
            attributes=row.changes,
            detail=reason,
        )
        raise_alert(out_of_band_alert(row, reason), self.projection.alerts)

    # ------------------------------------------------------------ the end of the chain

    def _head(self) -> AuditRow | None:
        if self._recent is None:
            with _reading_the_log():
                self._recent = self.projection.audit.latest(self.entity_id, 1)
        return self._recent[0] if self._recent else None

    def _last_place(self, change: AuditableChange) -> str:
        """Where a row out of sequence is put: at the end of the chain."""
        head = self._head()
        if head is None:
            return FIRST
        return outside_key(change.old_version, change.record.sequence_number, head.sequence)

    def _append(self, row: AuditRow) -> None:
        with _reading_the_log():
            there = self.projection.audit.append(row)
        if there is not None and there.image_hash != row.image_hash:
            raise _Moved
        self._recent = [there or row, *(self._recent or ())]


@dataclass(frozen=True, slots=True)
class _Past:
    """What existing rows say: the record has a row; a row has the image from which it starts."""

    is_recorded: bool = False
    has_old_image: bool = False


def _is_row_of(row: AuditRow, change: AuditableChange, *, foreign: bool) -> bool:
    """Whether an out-of-sequence row records this change.

    A rebuilt row does not identify the author, so it only counts for an out-of-band change.
    """
    made = is_of_record(row, change.record.sequence_number) or (foreign and is_rebuilt(row))
    return made and row.image_hash == change.new_hash
