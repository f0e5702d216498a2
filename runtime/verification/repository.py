"""Stores the current run, its checkpoints, and the last report.

Every write requires the version that was read, so only one of two concurrent workers continues.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel

from runtime.core.errors import StaleWrite
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Put, absent, any_of, at_most, equals, put
from runtime.dynamodb.store import Store
from runtime.verification.models import LATEST, OPEN_RUN, REPORT_PART, RUN_PART, VerificationRow
from runtime.verification.rules import LedgerVerificationReport

KEPT_DAYS = 90
"""How long a run's checkpoints and report are kept. The latest report is kept permanently."""
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
        row = self._row(OPEN_RUN, RUN_PART, stored, now, expires=False).model_copy(
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
        row = self._row(run_id, part, stored, now, expires=True)
        self._commit(self._unchanged(put(row), stored), now=now)
        return Stored(stored.content, row.version)

    def complete(
        self, report: LedgerVerificationReport, run: Stored[Content], now: datetime
    ) -> None:
        """Store the run's report, also as the latest one, and close the run. Raises StaleWrite."""
        first: Stored[LedgerVerificationReport] = Stored(report, 0)
        closed = self._row(OPEN_RUN, RUN_PART, run, now, expires=False)
        writes = [
            self._unchanged(put(closed), run),
            put(self._row(report.run_id, REPORT_PART, first, now, expires=True)),
            put(self._row(LATEST, REPORT_PART, first, now, expires=False)),
        ]
        self._commit(*writes, now=now)

    def _read(self, id_: str, part: str, model: type[Content]) -> Stored[Content] | None:
        row = self._store.get(
            VerificationRow, {"id": id_, "part": part}, VerificationRow, UNRESTRICTED
        )
        if row is None:
            return None
        return Stored(model.model_validate_json(zlib.decompress(row.content)), row.version)

    @staticmethod
    def _row(
        id_: str, part: str, stored: Stored[Content], now: datetime, *, expires: bool
    ) -> VerificationRow:
        content = zlib.compress(stored.content.model_dump_json(exclude_defaults=True).encode())
        kept_until = to_epoch_seconds(now + timedelta(days=KEPT_DAYS))
        return VerificationRow(
            id=id_,
            part=part,
            version=stored.version + 1,
            updated_at=to_timestamp(now),
            content=content,
            expires_at=kept_until if expires else None,
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
