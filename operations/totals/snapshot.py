"""One reading of a group of totals: its rows, its payments' counted states, and the payments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from runtime.core.scope import UNRESTRICTED, Scope
from runtime.core.timestamps import end_of, start_of
from runtime.dynamodb.index_shards import all_buckets
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.merchants.models import MAX_INDEX_BUCKETS
from runtime.merchants.repository import MerchantRepository
from runtime.payments.lists_repository import PaymentFigures, PaymentLists
from runtime.payments.repository import PaymentRepository
from runtime.reporting.totals.models import NOTHING, Figures, Group, Total
from runtime.reporting.totals.reader import TotalsReader
from runtime.reporting.totals.repository import TotalsRepository
from runtime.reporting.totals.rules import (
    added_up,
    contribution_of,
    figures_of,
    is_counted,
    is_counted_right,
    merchant_group,
)

LIST_PAGE: Final = 1_000


@dataclass(frozen=True)
class SnapshotDependencies:
    """Dependencies of a reading.

    It caches no merchant: with an outdated number of buckets readings could agree wrongly.
    """

    totals: TotalsRepository
    reader: TotalsReader
    payments: PaymentRepository
    lists: PaymentLists
    merchants: MerchantRepository

    def keys_of(self, merchant_id: str) -> tuple[str, ...]:
        """The merchant's own key in totals, and those of its buckets."""
        return (merchant_id, *self.buckets_of(merchant_id))

    def buckets_of(self, merchant_id: str) -> tuple[str, ...]:
        """All index shards of a merchant; the maximum number if the merchant does not exist."""
        merchant = self.merchants.profile(merchant_id, Scope(merchant_id))
        buckets = MAX_INDEX_BUCKETS if merchant is None else merchant.index_buckets
        return all_buckets(merchant_id, buckets)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result. Payments and their counted states may be from different moments.

    `is_settled`: nothing was counted while it was read, so `counted` and `found` are consistent.
    `miscounted` has the version of each payment whose counted state is wrong.
    """

    expected: Figures
    counted: Figures
    found: Figures
    is_settled: bool
    mark: int
    miscounted: Mapping[str, int] = field(default_factory=dict)

    @property
    def lacking(self) -> Figures:
        """What is missing in the rows of the sums."""
        return self.counted.minus(self.found)


def take_snapshot(group: Group, deps: SnapshotDependencies) -> Snapshot:
    """Read a group, while payments continue. Raises Unavailable while it is being folded."""
    keys = deps.keys_of(group.merchant_id)

    def rows() -> list[Total]:
        return deps.totals.of_group(keys, group)

    _, before = deps.reader.unmoved(group.merchant_id, rows)
    expected = counted = NOTHING
    miscounted: dict[str, int] = {}
    for ids in _listed(group, deps):
        known = deps.totals.counted(ids)
        for payment in deps.payments.get_many(ids, UNRESTRICTED):
            mine = known.get(payment.id)
            belongs_here = merchant_group(payment) == group
            if mine is not None and mine.group == group:
                counted = counted.plus(figures_of(mine))
            elif not belongs_here:
                continue
            if belongs_here and is_counted(payment):
                expected = expected.plus(figures_of(contribution_of(payment, "")))
            if not is_counted_right(payment, mine):
                miscounted[payment.id] = payment.version
    mark, after = deps.reader.unmoved(group.merchant_id, rows)
    return Snapshot(
        expected=expected,
        counted=counted,
        found=added_up(row.figures() for row in after),
        is_settled=_steps(before) == _steps(after),
        mark=mark,
        miscounted=miscounted,
    )


def _listed(group: Group, deps: SnapshotDependencies) -> Iterator[list[str]]:
    """Ids of the day's payments in the merchant's list, as many at once as one call reads.

    Of every currency: an edited payment may be counted in a group other than its own.
    """
    entries: Iterator[PaymentFigures] = deps.lists.figures(
        deps.buckets_of(group.merchant_id), start_of(group.day), end_of(group.day), LIST_PAGE
    )
    ids = (entry.id for entry in entries)
    while some := list(islice(ids, MAX_TRANSACTION_ITEMS)):
        yield some


def _steps(rows: Sequence[Total]) -> int:
    return sum(row.version for row in rows)
