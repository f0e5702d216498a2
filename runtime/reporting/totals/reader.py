"""Reading a merchant's totals consistently: folded days and the rows of its buckets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.core.errors import Unavailable
from runtime.dynamodb.index_shards import all_buckets
from runtime.merchants.models import MerchantProfile
from runtime.reporting.totals.models import NOTHING, Figures, Total
from runtime.reporting.totals.repository import TotalsRepository

MAX_READS: Final = 10
"""Reads of a merchant's rows while they are being folded, with growing pauses: some 3 seconds."""
PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True)
class TotalsReader:
    """Adds up rows that folding may move meanwhile."""

    totals: TotalsRepository
    sleep: Callable[[float], None]

    def by_group(
        self, merchant: MerchantProfile, first_day: str, last_day: str
    ) -> dict[tuple[str, str], Figures]:
        """The merchant's figures by day and currency, of all days between two, both included.

        Raises Unavailable.
        """
        keys = (merchant.id, *all_buckets(merchant.id, merchant.index_buckets))

        def read() -> list[Total]:
            return self.totals.between_days(keys, first_day, last_day)

        figures: dict[tuple[str, str], Figures] = {}
        for row in self.unmoved(merchant.id, read)[1]:
            place = row.group.day, row.group.currency
            figures[place] = figures.get(place, NOTHING).plus(row)
        return figures

    def unmoved(
        self, merchant_id: str, read: Callable[[], Sequence[Total]]
    ) -> tuple[int, Sequence[Total]]:
        """The result of `read` while no figures move between rows, and the merchant's mark.

        Raises Unavailable if folding does not end.
        """
        before = self.totals.mark(merchant_id)
        for number in range(MAX_READS):
            rows = read()
            after = self.totals.mark(merchant_id)
            if after == before:
                return after, rows
            before = after
            self.sleep(PAUSE_SECONDS * (number + 1))
        raise Unavailable("The totals are being consolidated; try again")
