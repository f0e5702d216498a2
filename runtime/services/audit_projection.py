"""Every audited table's stream → the audit log: one row per version, one more per change outside.

The rows of an entity are a chain in the order of its versions, so its records are worked off one
after the other, and the next row is hashed over the last. A record may come again (its row is
there, and tells the same image), late (newer rows are there), or not at all: what was lost is
rebuilt from the next record's old image, and what cannot be rebuilt waits in the failed batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from runtime.domain.alert_rules import Window
from runtime.domain.audit_chain import (
    GENESIS,
    OUTSIDE,
    is_outside,
    outside_key,
    version_in,
    version_key,
)
from runtime.domain.images import text_of
from runtime.domain.instants import is_instant, to_datetime
from runtime.models.alert import AlertType
from runtime.models.audit import AuditRow
from runtime.models.change import OUT_OF_BAND
from runtime.observability import logger
from runtime.repositories.alerts import AlertRepository
from runtime.repositories.audit import AuditRepository
from runtime.services.account_deltas import AccountDeltas
from runtime.services.alerts import raise_alert
from runtime.services.audit_rows import AUDITED, AuditRows, Told, is_rebuilt
from runtime.services.stream_records import Failed, Kind, Parking, StreamRecord, put_aside

PARALLEL_ENTITIES: Final = 8
"""Chains written at once: they are independent, and a Lambda has CPU for few."""
RECENT_ROWS: Final = 10
"""How far back a row is looked for that tells the image from which a record starts: only changes
from outside whose records came late can stand behind it."""
MAX_TRIES: Final = 3
"""Of one record, when a row appears that was not there a moment ago."""


class _Moved(Exception):
    """Another invocation has written a row of this entity meanwhile."""


@dataclass(frozen=True)
class AuditProjection:
    """Writes the audit log, and raises an alert for every change that was made outside."""

    audit: AuditRepository
    rows: AuditRows
    deltas: AccountDeltas
    parking: Parking
    alerts: AlertRepository

    def __call__(self, records: Sequence[StreamRecord]) -> Failed:
        """Write the rows of all records of audited tables."""
        told = [Told.of(record) for record in records if record.table in AUDITED]
        if not told:
            return frozenset()
        disowned = self.deltas.disowned(told)
        by_entity: dict[str, list[Told]] = {}
        for each in told:
            by_entity.setdefault(each.entity_id, []).append(each)
        with ThreadPoolExecutor(max_workers=PARALLEL_ENTITIES) as pool:
            failed = pool.map(
                lambda entity: _Chain(self, entity, disowned).follow(by_entity[entity]), by_entity
            )
            return frozenset(number for numbers in failed for number in numbers)


@dataclass
class _Chain:
    """The chain of one entity while a batch is worked off. Only this thread appends to it."""

    projection: AuditProjection
    entity_id: str
    disowned: Mapping[str, str]
    _recent: list[AuditRow] | None = field(default=None)

    def follow(self, told: Sequence[Told]) -> list[str]:
        """Write the rows, in order; from the first that cannot be written on, all are failed."""
        for position, each in enumerate(told):
            try:
                if not self._record(each):
                    raise RuntimeError("the record could not be parked")
            except Exception:  # noqa: BLE001 - it comes again, and what builds on it waits for it
                logger.exception("an audit row could not be written", entity=self.entity_id)
                return [later.record.sequence_number for later in told[position:]]
        return []

    def _record(self, told: Told) -> bool:
        for _ in range(MAX_TRIES):
            try:
                trouble = _trouble(told) or self.disowned.get(told.record.sequence_number)
                return self._outside(told, trouble) if trouble else self._version(told)
            except _Moved:
                self._recent = None
            except ValidationError:
                # The log was edited past reading: who verifies it is told, and a person mends it.
                reason = "the end of its entity's chain cannot be read"
                return put_aside(self.projection.parking, told.record, reason)
        raise RuntimeError(f"the chain of {self.entity_id} does not come to rest")

    # ------------------------------------------------------------ what the application changed

    def _version(self, told: Told) -> bool:
        key = version_key(told.new_version)
        head = self._head()
        if head is not None and head.sequence >= key:
            there = self.projection.audit.get(self.entity_id, key)
            if there is not None and there.image_hash == told.new_hash:
                return True
            return self._outside(told, f"version {told.new_version} was told otherwise before")
        if not self._continues(told) and not self._rebuild(told):
            reason = f"the record of a version before {told.new_version} has not come"
            return put_aside(self.projection.parking, told.record, reason)
        self._append(self.projection.rows.of_version(told, key, self._head_hash()))
        return True

    def _continues(self, told: Told) -> bool:
        """Whether a row tells the image from which this record starts: nothing is missing."""
        head = self._head()
        if told.record.kind is Kind.INSERT:
            return True  # nothing comes before it, and its own row is not there
        if head is None or head.image_hash == told.old_hash:
            return head is not None
        if is_outside(head.sequence):
            self._recent = self.projection.audit.latest(self.entity_id, RECENT_ROWS)
        return any(row.image_hash == told.old_hash for row in self._recent or ())

    def _rebuild(self, told: Told) -> bool:
        """Write the row of the one change that is missing before this one, if it is only one."""
        head = self._head()
        known = 0 if head is None else version_in(head.sequence)
        if told.record.old is None or told.old_version > known + 1:
            return False
        rows = self.projection.rows
        if told.old_version > known:
            key = version_key(told.old_version)
            self._append(rows.of_lost_version(told, key, self._head_hash()))
            return True
        key = outside_key(known, told.record.sequence_number)
        row = rows.of_lost_change_outside(told, key, self._head_hash())
        self._tell(row, "the record of a change from outside was lost")
        self._append(row)
        return True

    # ------------------------------------------------------------ what somebody else changed

    def _outside(self, told: Told, trouble: str) -> bool:
        number = told.record.sequence_number
        first = outside_key(told.old_version, number)
        for row in self.projection.audit.since(self.entity_id, version_key(told.old_version)):
            if row.sequence.partition(OUTSIDE)[2] == first.partition(OUTSIDE)[2]:
                return True
            if is_rebuilt(row) and row.image_hash == told.new_hash:
                return True
        head = self._head()
        known = 0 if head is None else version_in(head.sequence)
        key = max(first, outside_key(known, number))
        row = self.projection.rows.of_change_outside(told, key, self._head_hash())
        # The alert first: it is the same when it is raised again, and a row that is there ends it.
        self._tell(row, trouble)
        self._append(row)
        return True

    def _tell(self, row: AuditRow, trouble: str) -> None:
        logger.error(
            OUT_OF_BAND,
            entity=row.entity_id,
            sequence=row.sequence,
            attributes=row.changes,
            detail=trouble,
        )
        at = to_datetime(row.timestamp)
        raise_alert(
            AlertType.OUT_OF_BAND,
            self.projection.alerts,
            entity_type=row.entity_type,
            entity_id=row.entity_id,
            merchant_id=row.merchant_id,
            detail={"sequence": row.sequence, "attributes": list(row.changes), "reason": trouble},
            at=at,
            window=Window(at, row.sequence),
        )

    # ------------------------------------------------------------ the end of the chain

    def _head(self) -> AuditRow | None:
        if self._recent is None:
            self._recent = self.projection.audit.latest(self.entity_id, 1)
        return self._recent[0] if self._recent else None

    def _head_hash(self) -> str:
        head = self._head()
        return GENESIS if head is None else head.hash

    def _append(self, row: AuditRow) -> None:
        there = self.projection.audit.append(row)
        if there is not None and there.image_hash != row.image_hash:
            raise _Moved
        self._recent = [there or row, *(self._recent or ())]


def _trouble(told: Told) -> str | None:
    """What nobody who keeps to the rules has done: a write is one version more, with its cause."""
    record = told.record
    if record.new is None:
        return "the row was deleted"
    if not is_instant(text_of(record.new, "updated_at")):
        return "its updated_at is no time"
    if record.old is None:
        return None if told.new_version == 1 else f"it began at version {told.new_version}"
    if told.new_version != told.old_version + 1:
        return f"version {told.old_version} became {told.new_version}"
    if all(record.new.get(name) == record.old.get(name) for name in _FRESH):
        return "nothing says who changed it"
    return None


_FRESH: Final = ("cause", "request_id", "updated_at")
"""Of these, every write of the application changes one at least."""
