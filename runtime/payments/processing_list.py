"""A merchant's payments in processing, newest first, from the queue of open payments.

A sale is in processing for about a second. A list index of its own would cost each sale two writes,
so this list is read from `gsi-open`, which has the sale anyway. There it is due when its request's
lease ends, and it keeps that time: whoever continues with it makes it unknown first. So the order
of the queue is the order of creation.

Payments of other merchants are in the same buckets. They are read and passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from pydantic import BaseModel

from runtime.core.ids import created_at, highest_id
from runtime.core.scope import Scope
from runtime.core.timestamps import is_timestamp, to_datetime, to_timestamp
from runtime.dynamodb.expressions import between, equals
from runtime.dynamodb.index_merge import in_order_of_place, merge_newest_first
from runtime.dynamodb.index_shards import open_buckets_of
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.merchants.models import MerchantProfile
from runtime.payments.lists_repository import ID_PREFIX, PaymentEntry
from runtime.payments.models import Payment, PaymentStatus

PAGE: Final = 100
"""Entries of one bucket in one answer."""
CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""How far ahead of this clock another function's may be."""
_RANDOM_CHARACTERS: Final = 16


class _Queued(BaseModel, frozen=True, defer_build=True):
    """An entry of `gsi-open`."""

    id: str
    next_action_at: str


class OpenEntry(PaymentEntry, frozen=True):
    """An open payment that was read for the list.

    `place`: its place in the order of the list, the id itself if it is in processing. `is_listed`:
    whether it is a payment of the merchant and in processing; else its amount is not read.
    """

    place: str
    is_listed: bool


@dataclass(frozen=True, slots=True)
class ProcessingList:
    """Reads payments in processing. `lease`: how long a request owns the payment that it began."""

    store: Store
    lease: timedelta

    def newest_first(
        self,
        merchant: MerchantProfile,
        start: datetime,
        end: datetime,
        *,
        after_id: str | None,
    ) -> Iterator[OpenEntry]:
        """Open payments that were created between two times, after the place `after_id`.

        It includes those that are not listed, which cost as much to read.
        """
        latest = min(end, self.store.outside.now() + CLOCKS_DIFFER)
        if after_id is not None:
            latest = min(latest, _time_of(after_id))
        if start > latest:
            return
        queued = self._queued(merchant, start + self.lease, latest + self.lease)
        left = (each for each in queued if after_id is None or self._place(each) < after_id)
        while some := list(islice(left, MAX_TRANSACTION_ITEMS)):
            yield from self._entries(some, merchant)

    def _queued(
        self, merchant: MerchantProfile, start: datetime, end: datetime
    ) -> Iterator[_Queued]:
        due = between("next_action_at", to_timestamp(start), to_timestamp(end))
        readers = [
            self.store.query(
                Payment,
                _Queued,
                (equals("open_bucket", bucket), due),
                page_size=PAGE,
                index="gsi-open",
                newest_first=True,
            )
            for bucket in open_buckets_of(merchant.id, merchant.index_buckets)
        ]
        merged = merge_newest_first(
            readers, self.store.outside.threads, key=lambda each: each.next_action_at
        )
        # Rows written out of band may have any value, and must not fail.
        timed = (each for each in merged if is_timestamp(each.next_action_at))
        return in_order_of_place(timed, time=lambda each: each.next_action_at, place=self._place)

    def _place(self, queued: _Queued) -> str:
        """The id, with the time at which a lease that ends when the payment is due began."""
        began = to_datetime(queued.next_action_at) - self.lease
        random = queued.id[-_RANDOM_CHARACTERS:].rjust(_RANDOM_CHARACTERS, "0")
        return highest_id(ID_PREFIX, began)[:-_RANDOM_CHARACTERS] + random

    def _entries(self, some: Sequence[_Queued], merchant: MerchantProfile) -> Iterator[OpenEntry]:
        keys = [{"id": each.id} for each in some]
        rows = self.store.get_many(Payment, keys, PaymentEntry, Scope(merchant.id))
        found = {row.id: row for row in rows}
        for each in some:
            row = found.get(each.id)
            yield OpenEntry(
                id=each.id,
                amount=None if row is None else row.amount,
                currency=None if row is None else row.currency,
                place=self._place(each),
                is_listed=row is not None and row.status is PaymentStatus.PROCESSING,
            )


def _time_of(place: str) -> datetime:
    """The time in a place, whose other part may be of an id that was written out of band."""
    return created_at(place[:-_RANDOM_CHARACTERS] + "0" * _RANDOM_CHARACTERS)
