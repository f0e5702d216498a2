"""Idempotency claims, written in the same transaction as the request's own writes."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.scope import UNRESTRICTED, Scope
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
    """Claim the key if it is unclaimed or its stored answer has expired."""
    expired = all_of(
        equals("state", ClaimState.COMPLETED), below("expires_at", to_epoch_seconds(now))
    )
    return put(claim).when(any_of(absent("key"), expired))


def complete(claim: IdempotencyRecord) -> Put:
    """Store the answer if the claim still belongs to its owner and is in progress."""
    return amend(claim)


def amend(claim: IdempotencyRecord) -> Put:
    """Replace the claim if it still belongs to its owner and is in progress."""
    return put(claim).when(equals("owner", claim.owner), equals("state", ClaimState.IN_PROGRESS))


def claim_position(writes: Sequence[Write], claim: IdempotencyRecord | None) -> tuple[int, ...]:
    """Positions to pass to Store.transact as `decisive`: that of the claim at the end of `writes`.

    If the key is already claimed, the stored answer takes precedence over any other refusal.
    """
    return () if claim is None else (len(writes) - 1,)


class ClaimEntry(BaseModel, frozen=True, defer_build=True):
    """A claim as projected in the merchant index."""

    key: str
    created_at: Timestamp

    @property
    def place(self) -> str:
        """Its unique position in a list, ordered by time."""
        return f"{self.created_at}|{self.key}"


class ClaimView(ClaimEntry, frozen=True):
    """A claim without its encrypted answer."""

    state: ClaimState
    resource_id: str | None = None
    status_code: int | None = None
    expires_at: int | None = None


class ClaimRepository:
    """Reads of the idempotency table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, key: str) -> IdempotencyRecord | None:
        """The claim, strongly consistent."""
        return self._store.get(IdempotencyRecord, {"key": key}, IdempotencyRecord, UNRESTRICTED)

    def newest_first(
        self, buckets: Sequence[str], *, before: str | None, page_size: int
    ) -> Iterator[ClaimEntry]:
        """A merchant's claims before a position, merged over its index shards."""
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
