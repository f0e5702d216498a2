"""Idempotency claims: taken in the transaction that does the work, completed with its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.scope import EVERYBODY, Scope
from runtime.core.timestamps import to_epoch_seconds
from runtime.dynamodb.expressions import (
    Put,
    Write,
    absent,
    all_of,
    any_of,
    at_most,
    below,
    equals,
    put,
)
from runtime.dynamodb.index_merge import in_order_of_place, merge_newest_first
from runtime.dynamodb.store import Store
from runtime.idempotency.models import ClaimState, IdempotencyRecord


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


class ClaimEntry(BaseModel, frozen=True):
    """A claim as a merchant's index shows it."""

    key: str
    created_at: Timestamp

    @property
    def place(self) -> str:
        """Its place in a list: time first, and no two have the same."""
        return f"{self.created_at}|{self.key}"


class ClaimView(ClaimEntry, frozen=True):
    """A claim without its answer: no data key is needed to read it."""

    state: ClaimState
    resource_id: str | None = None
    status_code: int | None = None
    expires_at: int | None = None


class ClaimRepository:
    """Reads of the idempotency table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, key: str) -> IdempotencyRecord | None:
        """The claim as it stands, strongly consistent."""
        return self._store.get(IdempotencyRecord, {"key": key}, IdempotencyRecord, EVERYBODY)

    def newest_first(
        self, buckets: Sequence[str], *, before: str | None, page_size: int
    ) -> Iterator[ClaimEntry]:
        """A merchant's claims before a place, merged over its buckets; the index may lag."""
        earlier = () if before is None else (at_most("created_at", before.partition("|")[0]),)
        readers = [
            in_order_of_place(
                self._store.query(
                    IdempotencyRecord,
                    ClaimEntry,
                    [equals("merchant_bucket", bucket), *earlier],
                    index="gsi-merchant",
                    newest_first=True,
                    page_size=page_size,
                ),
                time=lambda entry: entry.created_at,
                place=lambda entry: entry.place,
            )
            for bucket in buckets
        ]
        entries = merge_newest_first(
            readers, self._store.outside.threads, key=lambda entry: entry.place
        )
        return (entry for entry in entries if before is None or entry.place < before)

    def views(self, keys: Sequence[str], scope: Scope) -> list[ClaimView]:
        """The claims that exist in `scope`, in the given order, without their answers."""
        wanted = [{"key": key} for key in keys]
        return self._store.get_many(IdempotencyRecord, wanted, ClaimView, scope)
