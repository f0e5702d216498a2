"""Reads of the transfers table."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.scope import Scope
from runtime.dynamodb.expressions import Key, at_most, equals
from runtime.dynamodb.id_lists import IdEntry, IdLists
from runtime.dynamodb.store import Store
from runtime.ledger.transfers.models import Transfer, TransferStatus


class TransferEntry(IdEntry, frozen=True):
    """A transfer as projected in the list indexes. `status` is absent in `status-index`."""

    status: TransferStatus | None = None


class DueHold(BaseModel, frozen=True, defer_build=True):
    """An expired hold as projected in `expiry-index`."""

    id: str
    expires_at: Timestamp


class TransferRepository:
    """Reads of the transfers table."""

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
        """Those that exist, consistent with earlier commits; at most MAX_TRANSACTION_ITEMS ids."""
        keys: list[Key] = [{"id": each} for each in transfer_ids]
        return self._store.get_settled(Transfer, keys, Transfer, scope) if keys else []

    def newest_first(
        self, buckets: Sequence[str], index: str, *, after_id: str | None, page_size: int
    ) -> Iterator[TransferEntry]:
        """Entries of the index shards `buckets`, newest first, older than `after_id`."""
        lists = IdLists(self._store, Transfer, TransferEntry)
        return lists.newest_first(index, buckets, after_id=after_id, page_size=page_size)

    def due_holds(self, bucket: str, at: Timestamp, *, page_size: int) -> Iterator[DueHold]:
        """Open holds of one index shard that had expired at `at`, oldest first."""
        return self._store.query(
            Transfer,
            DueHold,
            [equals("hold_bucket", bucket), at_most("expires_at", at)],
            index="expiry-index",
            page_size=page_size,
        )
