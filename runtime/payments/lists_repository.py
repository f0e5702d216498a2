"""Reads of the payments table's list indexes."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

from pydantic import BaseModel

from runtime.core.ids import highest_id, lowest_id
from runtime.dynamodb.expressions import between, equals
from runtime.dynamodb.id_lists import IdEntry
from runtime.dynamodb.index_merge import merge_newest_first
from runtime.dynamodb.store import Store
from runtime.payments.models import Payment, PaymentStatus

ID_PREFIX: Final = "pay"
"""Of the ids of payments."""


class PaymentEntry(BaseModel, frozen=True, defer_build=True):
    """A list index entry of a payment, with what the index shows of `PaymentQuery`'s filters."""

    id: str
    amount: int | None = None
    status: PaymentStatus | None = None
    currency: str | None = None


class PaymentFigures(BaseModel, frozen=True, defer_build=True):
    """The amounts of a payment for a summary, from `gsi-merchant` (minor units)."""

    id: str
    status: PaymentStatus
    currency: str
    amount_captured: int = 0
    amount_refunded: int = 0
    fee: int = 0


_Shown = TypeVar("_Shown", PaymentEntry, PaymentFigures)


class PaymentLists:
    """Reads of the payments table's indexes, which may lag by some seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest_first(
        self,
        buckets: Sequence[str],
        index: str,
        start: datetime,
        end: datetime,
        *,
        after_id: str | None,
        page_size: int,
    ) -> Iterator[PaymentEntry]:
        """Entries of a list index between two times, merged over `buckets`, newest first."""
        ids = _ids_between(start, end, after_id)
        entries = self._merged(PaymentEntry, buckets, index, ids, page_size)
        return (entry for entry in entries if entry.id != after_id)

    def of_scope(
        self, idempotency_scope: str, start_after: str | None, page_size: int
    ) -> Iterator[str]:
        """Ids of payments made with one idempotency key, in a stable but arbitrary order."""
        start = None
        if start_after is not None:
            start = {"idempotency_scope": idempotency_scope, "id": start_after}
        entries = self._store.query(
            Payment,
            IdEntry,
            [equals("idempotency_scope", idempotency_scope)],
            index="gsi-idempotency",
            start_after=start,
            page_size=page_size,
        )
        return (entry.id for entry in entries)

    def figures(
        self, buckets: Sequence[str], start: datetime, end: datetime, page_size: int
    ) -> Iterator[PaymentFigures]:
        """The summary amounts of payments made between two times."""
        ids = _ids_between(start, end)
        return self._merged(PaymentFigures, buckets, "gsi-merchant", ids, page_size)

    def _merged(
        self,
        view: type[_Shown],
        buckets: Sequence[str],
        index: str,
        ids: tuple[str, str],
        page_size: int,
    ) -> Iterator[_Shown]:
        low, high = ids
        if low > high:
            return iter(())
        key = Payment.table_schema.index(index).partition_key.name
        readers = [
            self._store.query(
                Payment,
                view,
                (equals(key, bucket), between("id", low, high)),
                page_size=page_size,
                index=index,
                newest_first=True,
            )
            for bucket in buckets
        ]
        return merge_newest_first(readers, self._store.outside.threads, key=lambda row: row.id)


def _ids_between(start: datetime, end: datetime, after_id: str | None = None) -> tuple[str, str]:
    """Lowest and highest id of payments made between two times, not above `after_id`."""
    low, high = lowest_id(ID_PREFIX, start), highest_id(ID_PREFIX, end)
    return low, high if after_id is None else min(high, after_id)
