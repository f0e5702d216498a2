"""How far the entries of each row of an account have been added up, for incremental runs.

A checkpoint is only used after the cut of its run has become part of the verified state, so a run
that crashed or found a violation leaves nothing that a later run relies on. It is a shortcut, not a
proof: a row that does not agree with its checkpoint is read again from its first entry.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.expressions import Key, put
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.verification.accounts.rules import Checkpoint
from runtime.verification.models import CHECKPOINT_PART, VerificationRow

KEPT: Final = 2
"""Checkpoints per row: that of the last run, and the one before in case it is not verified."""


class RowCheckpoints(BaseModel, frozen=True):
    """Checkpoints of a row, each with the cut of its run, oldest first."""

    kept: tuple[tuple[Timestamp, Checkpoint], ...] = ()

    def until(self, since: Timestamp) -> Checkpoint | None:
        """The newest checkpoint whose operations all began until `since`."""
        usable = [checkpoint for cut, checkpoint in self.kept if cut <= since]
        return usable[-1] if usable else None

    def adding(self, cut: Timestamp, checkpoint: Checkpoint | None) -> RowCheckpoints:
        """These and a newer one."""
        if checkpoint is None:
            return self
        return RowCheckpoints(kept=(*self.kept, (cut, checkpoint))[-KEPT:])


class Checkpoints:
    """The checkpoints in the proofs table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, names: Sequence[str]) -> dict[str, RowCheckpoints]:
        """The checkpoints of the rows that have any, by the partition of their entries."""
        keys: list[Key] = [{"id": name, "part": CHECKPOINT_PART} for name in names]
        found: dict[str, RowCheckpoints] = {}
        for start in range(0, len(keys), MAX_TRANSACTION_ITEMS):
            batch = keys[start : start + MAX_TRANSACTION_ITEMS]
            rows = self._store.get_many(VerificationRow, batch, VerificationRow, UNRESTRICTED)
            for row in rows:
                content = zlib.decompress(row.content)
                found[row.id] = RowCheckpoints.model_validate_json(content)
        return found

    def save(self, checkpoints: Mapping[str, RowCheckpoints], now: datetime) -> None:
        """Write checkpoints. Of two concurrent workers either may win: both are right."""
        rows = [
            VerificationRow(
                id=name,
                part=CHECKPOINT_PART,
                updated_at=to_timestamp(now),
                content=zlib.compress(each.model_dump_json(exclude_defaults=True).encode()),
            )
            for name, each in sorted(checkpoints.items())
        ]
        for start in range(0, len(rows), MAX_TRANSACTION_ITEMS):
            batch = rows[start : start + MAX_TRANSACTION_ITEMS]
            token = self._store.outside.new_id("prf", now)
            self._store.transact([put(row) for row in batch], token=token)
