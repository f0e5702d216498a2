"""The single commit of a resolution of a settlement line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Write, change, equals
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.reconciliation.matching.repository import BatchContended
from runtime.reconciliation.settlements.models import Settlement
from runtime.reconciliation.settlements.writes import SettlementWrites

SettlementStep = tuple[Settlement, Settlement]
"""A settlement before and after."""


class ResolutionRepository:
    """Writes resolutions of lines of settlements."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def record(
        self,
        settling: SettlementWrites,
        steps: Sequence[SettlementStep],
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """The line, everything that it settles and posts, its settlements and the stored answer.

        Raises AlreadyClaimed (takes precedence), and BatchContended if any row has changed.
        """
        counted = [
            change(before, after).when(equals("version", before.version)) for before, after in steps
        ]
        writes: list[Write] = [*settling.rendered(), *counted]
        try:
            create_once(self.store, writes, claim, token=token, now=now)
        except TransactionRefused as refused:
            raise BatchContended from refused

    def keep_answer(self, claim: IdempotencyRecord, *, token: str, now: datetime) -> None:
        """Store the answer of a request whose work is done. Raises AlreadyClaimed."""
        create_once(self.store, [], claim, token=token, now=now)
