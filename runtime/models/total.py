"""Totals: counts and sums per merchant, day, currency and status, kept by the change stream."""

from __future__ import annotations

from typing import Annotated

from runtime.models.fields import SignedMinorUnits
from runtime.schema import Row, partition, sort


class Total(Row, table="totals", frozen=True):
    """One bucket of one merchant's day: `item` is day#currency#status#bucket."""

    merchant_id: Annotated[str, partition()]
    item: Annotated[str, sort()]
    count: int = 0
    captured: SignedMinorUnits = 0
    refunded: SignedMinorUnits = 0
    fees: SignedMinorUnits = 0
