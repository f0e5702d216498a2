"""Reads of the transfers table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.scope import Scope
from runtime.dynamodb.expressions import Key, at_most, equals
from runtime.dynamodb.id_lists import IdEntry, IdLists
from runtime.dynamodb.store import Store
from runtime.ledger.transfers.models import Transfer, TransferStatus


class TransferEntry(IdEntry, frozen=True):
    """A transfer as its list indexes show it; `status` is absent where the index key says it."""

    status: TransferStatus | None = None


class DueHold(BaseModel, frozen=True):
    """A hold whose time is over, as `expiry-index` shows it."""

    id: str
    expires_at: Timestamp


class TransferRepository:
    """The transfers table, read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, transfer_id: str, scope: Scope) -> Transfer | None:
        """The transfer, strongly consistent."""
        return self._store.get(Transfer, {"id": transfer_id}, Transfer, scope)

    def get_many(self, transfer_ids: Sequence[str], scope: Scope) -> list[Transfer]:
        """The transfers that exist, in the given order; at most MAX_TRANSACTION_ITEMS ids."""
        if not transfer_ids:
            return []
        return self._store.get_many(
            Transfer, [{"id": each} for each in transfer_ids], Transfer, scope
        )

    def get_settled(self, transfer_ids: Sequence[str], scope: Scope) -> list[Transfer]:
        """Those that exist, with all that was committed before; at most MAX_TRANSACTION_ITEMS."""
        keys: list[Key] = [{"id": each} for each in transfer_ids]
        return self._store.get_settled(Transfer, keys, Transfer, scope) if keys else []

    def newest_first(
        self, buckets: Sequence[str], index: str, *, after_id: str | None, page_size: int
    ) -> Iterator[TransferEntry]:
        """Entries of some keys of an index, newest first, older than `after_id`."""
        lists = IdLists(self._store, Transfer, TransferEntry)
        return lists.newest_first(index, buckets, after_id=after_id, page_size=page_size)

    def due_holds(self, bucket: str, at: Timestamp, *, page_size: int) -> Iterator[DueHold]:
        """Open holds of one bucket whose time was over at `at`, the oldest first."""
        return self._store.query(
            Transfer,
            DueHold,
            [equals("hold_bucket", bucket), at_most("expires_at", at)],
            index="expiry-index",
            page_size=page_size,
        )
