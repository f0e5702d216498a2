"""Every audited table's stream → the audit log: one row per version, one more per change outside.

The rows of an entity are a chain in the order of its versions, so its records are worked off one
after the other, and the next row is hashed over the last. A record may come again (a row tells it
already), late (newer rows are there), or not at all: what was lost is rebuilt from the next
record's old image, and what cannot be rebuilt waits in the failed batches.
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
    GENESIS,
    is_before_record,
    is_of_record,
    is_outside,
    outside_key,
    version_in,
    version_key,
)
from runtime.audit.models import AuditRow
from runtime.audit.projection.balance_attribution import BalanceAttribution
from runtime.audit.projection.rows import (
    AUDITED,
    AuditableChange,
    AuditRows,
    change_outside,
    is_rebuilt,
    out_of_band_reason,
)
from runtime.audit.repository import AuditRepository
from runtime.core.change_context import OUT_OF_BAND
from runtime.core.observability import logger
from runtime.core.outside import Threads
from runtime.core.timestamps import is_timestamp
from runtime.dynamodb.errors import InvalidRequest
from runtime.streams.images import text_of
from runtime.streams.records import INVALID, Failed, Kind, Parking, StreamRecord, park_record

PARALLEL_ENTITIES: Final = 8
"""Chains written at once: they are independent, and a Lambda has CPU for few."""
RECENT_ROWS: Final = 10
"""How far back a row is looked for that tells the image from which a record starts, where it stands
before that image's version: only changes from outside whose records came late can be behind it."""
MAX_TRIES: Final = 3
"""Of one record, when a row appears that was not there a moment ago."""


class _Moved(Exception):
    """Another invocation has written a row of this entity meanwhile."""


class _Hopeless(Exception):
    """Trying the record again will not help; the text says why."""


@contextmanager
def _reading_the_log() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        # It was edited past reading: who verifies it is told, and a person mends it.
        raise _Hopeless("the end of its entity's chain cannot be read") from error


@contextmanager
def _making_a_row() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, AssertionError) as error:
        # Nobody's write but a hand's makes such an image, and it stays what it is.
        raise _Hopeless("no audit row can be made of its images") from error


@dataclass(frozen=True)
class AuditProjection:
    """Writes the audit log, and raises an alert for every change that was made outside."""

    audit: AuditRepository
    rows: AuditRows
    deltas: BalanceAttribution
    parking: Parking
    alerts: AlertRepository
    threads: Callable[[int], Threads]

    def __call__(self, records: Sequence[StreamRecord]) -> Failed:
        """Write the rows of all records of audited tables."""
        told = [AuditableChange.of(record) for record in records if record.table in AUDITED]
        if not told:
            return frozenset()
        unexplained = self.deltas.unexplained(told)
        by_entity: dict[str, list[AuditableChange]] = {}
        for each in told:
            by_entity.setdefault(each.entity_id, []).append(each)
        with self.threads(PARALLEL_ENTITIES) as pool:
            failed = pool.map(
                lambda entity: _Chain(self, entity, unexplained).follow(by_entity[entity]),
                by_entity,
            )
            return frozenset(number for numbers in failed for number in numbers)


@dataclass
class _Chain:
    """The chain of one entity while a batch is worked off. Only this thread appends to it."""

    projection: AuditProjection
    entity_id: str
    unexplained: Mapping[str, str]
    _recent: list[AuditRow] | None = field(default=None)

    def follow(self, told: Sequence[AuditableChange]) -> list[str]:
        """Write the rows, in order; from the first that cannot be written on, all are failed."""
        for position, each in enumerate(told):
            try:
                if not self._record(each):
                    raise RuntimeError("the record could not be parked")
            except Exception:  # noqa: BLE001 - it comes again, and what builds on it waits for it
                logger.exception("an audit row could not be written", entity=self.entity_id)
                return [later.record.sequence_number for later in told[position:]]
        return []

    def _record(self, told: AuditableChange) -> bool:
        for _ in range(MAX_TRIES):
            try:
                return self._write(told)
            except _Moved:
                self._recent = None
            except _Hopeless as hopeless:
                return park_record(self.projection.parking, told.record, str(hopeless))
            except InvalidRequest:
                return park_record(self.projection.parking, told.record, INVALID)
        raise RuntimeError(f"the chain of {self.entity_id} does not come to rest")

    def _write(self, told: AuditableChange) -> bool:
        """Write the row that tells the record, unless one does: then nothing is judged anew."""
        operational_alerts = out_of_band_reason(told)
        there = self._row_of_version(told) if operational_alerts is None else None
        same = there is not None and there.image_hash == told.new_hash
        if same and self._was_deleted_before(told):
            operational_alerts = "the row was put back"
        elif there is not None and there.action != REBUILT:
            if same:
                return True
            operational_alerts = f"version {told.new_version} was recorded before with other values"
        operational_alerts = operational_alerts or self.unexplained.get(told.record.sequence_number)
        past = self._past_of(told, foreign=operational_alerts is not None)
        if past.tells_it:
            return True
        if operational_alerts is None and same:
            return True  # the row was rebuilt, and rightly
        if not past.leads_to_it and not self._rebuild(told):
            reason = f"the record of a version before {told.old_version + 1} has not come"
            return park_record(self.projection.parking, told.record, reason)
        if operational_alerts is None:
            self._version(told)
        else:
            self._outside(told, operational_alerts)
        return True

    # ------------------------------------------------------------ what rows say already

    def _row_of_version(self, told: AuditableChange) -> AuditRow | None:
        """The row in the place of the record's version."""
        head, key = self._head(), version_key(told.new_version)
        if head is None or head.sequence < key:
            return None
        with _reading_the_log():
            return self.projection.audit.get(self.entity_id, key)

    def _was_deleted_before(self, told: AuditableChange) -> bool:
        """Whether a row that is told already was deleted, and this record puts the same again."""
        return told.record.kind is Kind.INSERT and any(
            not row.image_hash and is_before_record(row.sequence, told.record.sequence_number)
            for row in self._since(told)
        )

    def _past_of(self, told: AuditableChange, *, foreign: bool) -> _Past:
        """What the rows from the version on say from which the record starts."""
        leads = told.record.old is None
        for row in self._since(told):
            if _tells(row, told, foreign=foreign):
                return _Past(tells_it=True)
            leads = leads or row.image_hash == told.old_hash
        head = self._head()
        if not leads and head is not None and is_outside(head.sequence):
            with _reading_the_log():
                self._recent = self.projection.audit.latest(self.entity_id, RECENT_ROWS)
            leads = any(row.image_hash == told.old_hash for row in self._recent)
        return _Past(leads_to_it=leads)

    def _since(self, told: AuditableChange) -> Iterator[AuditRow]:
        head, first = self._head(), version_key(told.old_version)
        if head is None:
            return
        if head.sequence <= first:
            yield head  # as always, but for what is late or comes again
            return
        with _reading_the_log():
            yield from self.projection.audit.since(self.entity_id, first)

    # ------------------------------------------------------------ what the application changed

    def _version(self, told: AuditableChange) -> None:
        key, head = version_key(told.new_version), self._head()
        if head is not None and head.sequence >= key:
            key = self._last_place(told)  # its own was passed over, or taken for what it left
        with _making_a_row():
            row = self.projection.rows.of_version(told, key, self._head_hash())
        self._append(row)

    def _rebuild(self, told: AuditableChange) -> bool:
        """Write the row of the one change that is missing before this one, if it is only one."""
        head, left, rows = self._head(), told.record.old or {}, self.projection.rows
        with _making_a_row():
            known = 0 if head is None else version_in(head.sequence)
            if told.old_version > known:
                if told.old_version > known + 1 or not is_timestamp(text_of(left, "updated_at")):
                    return False
                key = version_key(told.old_version)
                row = rows.of_lost_version(told, key, self._head_hash())
            else:
                key = self._last_place(told)
                row = rows.of_lost_change_outside(told, key, self._head_hash())
        if is_rebuilt(row):
            self._tell(row, "the record of a change from outside was lost")
        self._append(row)
        return True

    # ------------------------------------------------------------ what somebody else changed

    def _outside(self, told: AuditableChange, operational_alerts: str) -> None:
        with _making_a_row():
            key = self._last_place(told)
            row = self.projection.rows.of_change_outside(told, key, self._head_hash())
        # The alert first: it is the same when it is raised again, and a row that is there ends it.
        self._tell(row, operational_alerts)
        self._append(row)

    def _tell(self, row: AuditRow, operational_alerts: str) -> None:
        logger.error(
            OUT_OF_BAND,
            entity=row.entity_id,
            sequence=row.sequence,
            attributes=row.changes,
            detail=operational_alerts,
        )
        raise_alert(change_outside(row, operational_alerts), self.projection.alerts)

    # ------------------------------------------------------------ the end of the chain

    def _head(self) -> AuditRow | None:
        if self._recent is None:
            with _reading_the_log():
                self._recent = self.projection.audit.latest(self.entity_id, 1)
        return self._recent[0] if self._recent else None

    def _head_hash(self) -> str:
        head = self._head()
        return GENESIS if head is None else head.hash

    def _last_place(self, told: AuditableChange) -> str:
        head = self._head()
        behind = "" if head is None else head.sequence
        return outside_key(told.old_version, told.record.sequence_number, behind)

    def _append(self, row: AuditRow) -> None:
        with _reading_the_log():
            there = self.projection.audit.append(row)
        if there is not None and there.image_hash != row.image_hash:
            raise _Moved
        self._recent = [there or row, *(self._recent or ())]


@dataclass(frozen=True, slots=True)
class _Past:
    """What rows say of a record: one tells it already; one tells the image from which it starts."""

    tells_it: bool = False
    leads_to_it: bool = False


def _tells(row: AuditRow, told: AuditableChange, *, foreign: bool) -> bool:
    """Whether a row that has no version's place tells this record.

    One that was rebuilt does not say who made the change: of the application's own that is known
    once its record is there.
    """
    made = is_of_record(row.sequence, told.record.sequence_number) or (foreign and is_rebuilt(row))
    return made and row.image_hash == told.new_hash
