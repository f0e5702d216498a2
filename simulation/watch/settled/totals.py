"""Totals at rest are what a recount of the payments gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from typing import Final, NamedTuple

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import Item, number, text

_NOT_COUNTED: Final = ("pending", "processing")
_FIGURES: Final = (
    *("count_requires_capture", "count_succeeded", "count_failed", "count_canceled"),
    *("count_unknown", "captured_count", "captured", "refunded", "fees"),
)


class Group(NamedTuple):
    """A merchant's payments of one UTC day and currency."""

    merchant_id: str
    day: str
    currency: str


Sums = dict[Group, Counter[str]]


def total_faults(rows: Rows, edited: Set[str]) -> Faults:
    """Where the totals differ from a recount; merchants with an edited payment are left out."""
    left_out = {
        text(item, "merchant_id") for name, item in rows.by_id("payments").items() if name in edited
    }
    found, wanted = kept_totals(rows), counted_payments(rows)
    for group in sorted(found.keys() | wanted.keys()):
        kept, counted = _not_zero(found.get(group)), _not_zero(wanted.get(group))
        if kept != counted and group.merchant_id not in left_out:
            yield f"totals of {group} are {kept}, its payments add up to {counted}"


def kept_totals(rows: Rows) -> Sums:
    """What the totals table says, all buckets together."""
    sums: Sums = {}
    for item in rows.of("totals"):
        day, parted, currency = text(item, "item").partition("#")
        if not parted:
            continue  # what a payment is counted with, or a merchant's mark
        group = Group(text(item, "id").partition("#")[0], day, currency)
        mine = sums.setdefault(group, Counter())
        for name in _FIGURES:
            mine[name] += number(item, name)
    return sums


def counted_payments(rows: Rows) -> Sums:
    """The same, counted payment by payment."""
    sums: Sums = {}
    for item in rows.of("payments"):
        status = text(item, "status")
        if status in _NOT_COUNTED:
            continue
        day, currency = text(item, "created_at")[:10], text(item, "currency")
        mine = sums.setdefault(Group(text(item, "merchant_id"), day, currency), Counter())
        mine.update(_figures(item, status))
    return sums


def _figures(item: Item, status: str) -> dict[str, int]:
    captured = number(item, "amount_captured")
    return {
        f"count_{status}": 1,
        "captured_count": int(captured > 0),
        "captured": captured,
        "refunded": number(item, "amount_refunded"),
        "fees": number(item, "fee"),
    }


def _not_zero(sums: Counter[str] | None) -> dict[str, int]:
    return {name: count for name, count in sorted((sums or {}).items()) if count}
