"""Stores the current run, its checkpoints, and the last report.

Every write requires the version that was read, so only one of two concurrent workers continues.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel

from runtime.core.errors import StaleWrite
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Put, absent, any_of, at_most, between, equals, put
from runtime.dynamodb.store import Store
from runtime.verification.models import (
    BASELINE,
    BASELINE_PART,
    LATEST,
    OPEN_RUN,
    REPORT_PART,
    RUN_PART,
    VerificationRow,
)
from runtime.verification.rules import Baseline, LedgerVerificationReport

KEPT_DAYS = 90
"""How long a run's checkpoints and report are kept. The latest report is kept permanently."""
NOTES_KEPT_DAYS = 30
"""How long the ids of changed rows are kept. A run that takes longer is begun anew: it would take
missing ids for unchanged rows."""
NOTES_PAGE = 20
"""Rows of noted ids per Query call; DynamoDB returns at most 1 MB."""
LEASE_SECONDS = 120
"""How long a run stays leased to a crashed invocation. Correctness does not depend on it."""

Content = TypeVar("Content", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Stored(Generic[Content]):
    """Stored content and its version; version 0 if it is not stored yet."""

    content: Content
    version: int


class VerificationRepository:
    """The proofs table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def latest(self) -> LedgerVerificationReport | None:
        """The last completed run's report."""
        stored = self._read(LATEST, REPORT_PART, LedgerVerificationReport)
        return None if stored is None else stored.content

    def open_run(self, model: type[Content]) -> Stored[Content] | None:
        """The last run that was started; it may be completed."""
        return self._read(OPEN_RUN, RUN_PART, model)

    def segment(self, run_id: str, part: str, model: type[Content]) -> Stored[Content] | None:
        """The checkpoint of one segment."""
        return self._read(run_id, part, model)

    def save_run(
        self, stored: Stored[Content], owner: str | None, now: datetime, *, by_force: bool = False
    ) -> Stored[Content]:
        """Write the run's state and take, renew or (`owner` None) release its lease.

        `by_force` takes the lease from another worker, whose next write then fails. Raises
        StaleWrite.
        """
        lease = now + timedelta(seconds=LEASE_SECONDS)
        row = self._row(OPEN_RUN, RUN_PART, stored, now).model_copy(
            update={
                "lease_owner": owner,
                "lease_expires_at": to_timestamp(lease) if owner is not None else None,
            }
        )
        free = any_of(
            absent("lease_owner"),
            equals("lease_owner", owner or ""),
            at_most("lease_expires_at", to_timestamp(now)),
        )
        write = put(row)
        if owner is None or by_force:
            self._commit(self._unchanged(write, stored), now=now)
        elif stored.version == 0:
            self._commit(write.when(absent("id")), now=now)
        else:
            self._commit(write.when(equals("version", stored.version), free), now=now)
        return Stored(stored.content, row.version)

    def save_segment(
        self, run_id: str, part: str, stored: Stored[Content], now: datetime
    ) -> Stored[Content]:
        """Write a segment's checkpoint. Raises StaleWrite if another worker wrote it meanwhile."""
        row = self._row(run_id, part, stored, now, kept_days=KEPT_DAYS)
        self._commit(self._unchanged(put(row), stored), now=now)
        return Stored(stored.content, row.version)

    def save_notes(self, run_id: str, part: str, ids: BaseModel, now: datetime) -> None:
        """Write ids noted for a segment. A repetition replaces them."""
        row = self._row(run_id, part, Stored(ids, 0), now, kept_days=NOTES_KEPT_DAYS)
        self._commit(put(row), now=now)

    def notes(self, run_id: str, prefix: str, model: type[Content]) -> Iterator[Content]:
        """All ids noted for one segment."""
        rows = self._store.query(
            VerificationRow,
            VerificationRow,
            [equals("id", run_id), between("part", prefix, f"{prefix}~")],
            page_size=NOTES_PAGE,
            consistent=True,
        )
        return (_content(row, model) for row in rows)

    def baseline(self) -> Stored[Baseline]:
        """The last verified state; an empty one if nothing was verified yet."""
        return self._read(BASELINE, BASELINE_PART, Baseline) or Stored(Baseline(), 0)

    def complete(
        self,
        report: LedgerVerificationReport,
        run: Stored[Content],
        baseline: Stored[Baseline],
        now: datetime,
    ) -> None:
        """Store the run's report, also as the latest one, and close the run. Raises StaleWrite.

        The verified state advances in the same transaction, so it never passes what was reported.
        """
        first: Stored[LedgerVerificationReport] = Stored(report, 0)
        closed = self._row(OPEN_RUN, RUN_PART, run, now)
        verified = self._row(BASELINE, BASELINE_PART, baseline, now)
        writes = [
            self._unchanged(put(closed), run),
            self._unchanged(put(verified), baseline),
            put(self._row(report.run_id, REPORT_PART, first, now, kept_days=KEPT_DAYS)),
            put(self._row(LATEST, REPORT_PART, first, now)),
        ]
        self._commit(*writes, now=now)

    def _read(self, id_: str, part: str, model: type[Content]) -> Stored[Content] | None:
        row = self._store.get(
            VerificationRow, {"id": id_, "part": part}, VerificationRow, UNRESTRICTED
        )
        if row is None:
            return None
        return Stored(_content(row, model), row.version)

    @staticmethod
    def _row(
        id_: str, part: str, stored: Stored[Content], now: datetime, *, kept_days: int | None = None
    ) -> VerificationRow:
        content = zlib.compress(stored.content.model_dump_json(exclude_defaults=True).encode())
        expires_at = None
        if kept_days is not None:
            expires_at = to_epoch_seconds(now + timedelta(days=kept_days))
        return VerificationRow(
            id=id_,
            part=part,
            version=stored.version + 1,
            updated_at=to_timestamp(now),
            content=content,
            expires_at=expires_at,
        )

    @staticmethod
    def _unchanged(write: Put, stored: Stored[Content]) -> Put:
        if stored.version == 0:
            return write.when(absent("id"))
        return write.when(equals("version", stored.version))

    def _commit(self, *writes: Put, now: datetime) -> None:
        try:
            self._store.transact(writes, token=self._store.outside.new_id("prf", now))
        except TransactionRefused as refused:
            raise StaleWrite("proofs", "another worker is continuing this run") from refused


def _content(row: VerificationRow, model: type[Content]) -> Content:
    return model.model_validate_json(zlib.decompress(row.content))
