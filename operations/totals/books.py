"""Payments and totals as read by a check of totals: whole tables in segments, read only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.payments.models import Payment, PaymentStatus
from runtime.reporting.totals.models import COUNTED_ITEM, MARK_ITEM, Figures, Group, Total

SEGMENTS: Final = 8
"""Parts of a table that are read at once."""
TOTALS_PAGE: Final = 1_000


class CountablePayment(BaseModel, frozen=True):
    """The attributes of a payment that its totals need."""

    id: str
    version: int
    merchant_id: str
    merchant_bucket: str | None = None
    created_at: Timestamp
    status: PaymentStatus
    currency: str
    amount_captured: int = 0
    amount_refunded: int = 0
    fee: int = 0


class _AnyRow(Figures, frozen=True):
    id: str
    item: str


class TotalsScan:
    """Both tables, strongly consistent."""

    def __init__(self, store: Store, *, page_size: int = MAX_TRANSACTION_ITEMS) -> None:
        self._store = store
        self._page_size = page_size

    def payments(self, segment: int) -> Iterator[list[CountablePayment]]:
        """One segment of all payments, in pages whose counted rows one call reads."""
        pages = self._store.scan(
            Payment,
            CountablePayment,
            segment=segment,
            total_segments=SEGMENTS,
            page_size=self._page_size,
        )
        return (page.rows for page in pages)

    def totals(self, segment: int) -> Iterator[list[tuple[Group, Figures]]]:
        """One segment of all total rows, with the group of each."""
        pages = self._store.scan(
            Total, _AnyRow, segment=segment, total_segments=SEGMENTS, page_size=TOTALS_PAGE
        )
        for page in pages:
            yield [
                (Group.of(row.id, row.item), row.figures())
                for row in page.rows
                if row.item not in (COUNTED_ITEM, MARK_ITEM)
            ]
