"""Idempotency claims: taken in the transaction that does the work, completed with its answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runtime.domain.instants import to_epoch_seconds
from runtime.models.idempotency import ClaimState, IdempotencyRecord
from runtime.models.scope import EVERYBODY
from runtime.repositories.expressions import (
    Put,
    Write,
    absent,
    all_of,
    any_of,
    below,
    equals,
    put,
)
from runtime.repositories.store import Store


def take(claim: IdempotencyRecord, now: datetime) -> Put:
    """Take the key if nobody has it, or if its completed answer has been kept long enough."""
    expired = all_of(
        equals("state", ClaimState.COMPLETED), below("expires_at", to_epoch_seconds(now))
    )
    return put(claim).when(any_of(absent("key"), expired))


def complete(claim: IdempotencyRecord) -> Put:
    """Store the answer, if the claim is still the one that its owner took."""
    return put(claim).when(equals("owner", claim.owner), equals("state", ClaimState.IN_PROGRESS))


def judged_first(writes: Sequence[Write], claim: IdempotencyRecord | None) -> tuple[int, ...]:
    """The position of the claim that `writes` end with, for Store.transact.

    Whoever was answered before is answered that again: no other refusal matters beside it.
    """
    return () if claim is None else (len(writes) - 1,)


class ClaimRepository:
    """Reads of the idempotency table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, key: str) -> IdempotencyRecord | None:
        """The claim as it stands, strongly consistent."""
        return self._store.get(IdempotencyRecord, {"key": key}, IdempotencyRecord, EVERYBODY)
