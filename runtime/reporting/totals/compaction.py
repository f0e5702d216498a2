"""Folding closed days: the rows of a merchant's buckets are moved into one row of its own.

They are found through `gsi-unfolded`; a correction of a closed day creates a row there again, which
the next run folds. Delays do not matter: readers add up all existing rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from runtime.core.change_context import NOT_COMPACTED
from runtime.core.errors import Unavailable
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import UNCOMPACTED_BUCKETS, UNCOMPACTED_QUEUE, all_buckets
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.idempotency.optimistic_update import retry_stale
from runtime.reporting.totals.models import Group, Total
from runtime.reporting.totals.repository import MovedMeanwhile, TotalsRepository, UncompactedRow

ROWS_AT_ONCE: Final = 5_000
"""Bucket rows found and then folded: all of a merchant with 256 buckets in 19 currencies."""
MAX_ATTEMPTS: Final = 10
"""Commits of one fold that late corrections conflict with; the next run folds the rest."""


@dataclass(frozen=True)
class CompactionDependencies:
    """Dependencies of folding. `must_stop`: the invocation is about to time out."""

    totals: TotalsRepository
    outside: Outside
    must_stop: Callable[[], bool]


@dataclass
class CompactionReport:
    """The result of one run. `failed` merchants and an unfinished run's rest wait for the next."""

    merchants: int = 0
    rows: int = 0
    failed: int = 0
    finished: bool = True


def compact_closed_days(deps: CompactionDependencies) -> CompactionReport:
    """Fold every bucket row of earlier days. An error of one merchant does not stop others."""
    report = CompactionReport()
    today = to_timestamp(deps.outside.now())[:10]
    for queue in all_buckets(UNCOMPACTED_QUEUE, UNCOMPACTED_BUCKETS):
        found = deps.totals.unfolded(queue, today)
        while some := list(islice(found, ROWS_AT_ONCE)):
            for merchant_id, rows in _by_merchant(some).items():
                if deps.must_stop():
                    report.finished = False
                    return report
                _fold_merchant(merchant_id, rows, deps, report)
    return report


def _by_merchant(rows: Sequence[UncompactedRow]) -> dict[str, list[UncompactedRow]]:
    merchants: dict[str, list[UncompactedRow]] = {}
    for row in rows:
        merchants.setdefault(Group.of(row.id, row.item).merchant_id, []).append(row)
    return merchants


def _fold_merchant(
    merchant_id: str,
    rows: list[UncompactedRow],
    deps: CompactionDependencies,
    report: CompactionReport,
) -> None:
    rows.sort(key=lambda row: (row.item, row.id))
    report.merchants += 1
    try:
        while rows:
            together = _fitting(rows)
            report.rows += _fold(merchant_id, rows[:together], deps)
            rows = rows[together:]
    except Exception:  # noqa: BLE001 - the log has it, the others go on
        logger.exception(NOT_COMPACTED, merchant=merchant_id)
        report.failed += 1


def _fitting(rows: Sequence[UncompactedRow]) -> int:
    """How many of the first rows fit into one commit, with their days' rows and the mark."""
    items: set[str] = set()
    for at, row in enumerate(rows):
        items.add(row.item)
        if 1 + len(items) + at + 1 > MAX_TRANSACTION_ITEMS:
            return at
    return len(rows)


def _fold(merchant_id: str, found: Sequence[UncompactedRow], deps: CompactionDependencies) -> int:
    def attempt() -> int:
        mark = deps.totals.mark(merchant_id)
        rows: list[Total] = deps.totals.rows(found)
        if not rows:
            return 0  # the index lags behind
        token = deps.outside.new_id("fld", deps.outside.now())
        deps.totals.fold(merchant_id, mark, rows, token=token)
        return len(rows)

    return retry_stale(
        MAX_ATTEMPTS,
        attempt,
        Unavailable(f"The totals of {merchant_id} are busy; try again"),
        stale=MovedMeanwhile,
    )
