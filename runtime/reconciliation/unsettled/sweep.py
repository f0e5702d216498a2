"""The daily sweep: captures and refunds in no settlement file after the deadline are missing.

A round covers all merchants and can stop anywhere; the next run resumes there. A transaction is
marked in the transaction that writes its line, on the condition that it is not settled: two sweeps
concurrently, or a sweep beside a file, write one line or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from runtime.core.change_context import MISSING_UNFINISHED, ChangeContext
from runtime.core.errors import StaleWrite
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.errors import TransactionRefused
from runtime.merchants.models import MerchantProfile
from runtime.merchants.repository import MerchantPage, MerchantRepository
from runtime.payments.transaction_models import Transaction
from runtime.payments.unsettled_ids import unsettled_settlement_id
from runtime.reconciliation.files.models import SweepRound
from runtime.reconciliation.settlements.line_keys import exception_buckets, missing_line
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.unsettled.open_exceptions import OpenExceptions
from runtime.reconciliation.unsettled.repository import (
    FoundMissing,
    UnsettledRepository,
    first_round,
)
from runtime.reconciliation.unsettled.rules import (
    days_between,
    deadline,
    is_due,
    missing_row,
    with_missing_lines,
)

SWEPT_BY: Final = "system:missing"
PARALLEL_MERCHANTS: Final = 8
"""Merchants swept in parallel: most of the time is spent waiting for reads."""
MERCHANTS_PER_PAGE: Final = 100
LINES_PER_COMMIT: Final = 40
"""Two writes each and the settlement's stay below DynamoDB's 100."""
MAX_ATTEMPTS: Final = 10
"""Attempts at one batch whose transactions or settlement change meanwhile."""
EXCEPTIONS_PER_PAGE: Final = 1_000
_CUT: Final = "cut"
"""The counter of merchants that were not swept completely before time ran out."""


@dataclass(frozen=True)
class SweepDependencies:
    """Dependencies of the sweep. `must_stop` is true when the invocation is about to time out."""

    unsettled: UnsettledRepository
    merchants: MerchantRepository
    lines: SettlementLineRepository
    outside: Outside
    must_stop: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The result of one run. `finished`: the round is complete; otherwise the next run resumes it.

    `missing`: transactions that became missing. `failed`: merchants with an error; the error is in
    the log, and the next round sweeps them again. `open_exceptions` of the merchants that the run
    reached, `oldest_exception_days` since the date of the settlement of the oldest of them.
    """

    finished: bool
    merchants: int
    missing: int
    failed: int
    open_exceptions: int
    oldest_exception_days: int


@dataclass
class _Tally:
    """What was done for some merchants. `exceptions`: those that are open after it."""

    counts: Counter[str] = field(default_factory=Counter)
    exceptions: OpenExceptions = field(default_factory=OpenExceptions)

    def add(self, other: _Tally) -> None:
        """Add what was done for others."""
        self.counts.update(other.counts)
        self.exceptions += other.exceptions


class _OutOfTime(Exception):
    """The run must end before the merchant is swept."""


def sweep_missing(dependencies: SweepDependencies, request_id: str) -> SweepReport:
    """Resume the round, or begin a new one, while there is time."""
    progress = _begun(dependencies)
    tally = _Tally()
    pages = dependencies.merchants.pages(progress.last_merchant, page_size=MERCHANTS_PER_PAGE)
    for number, page in enumerate(pages):
        if dependencies.must_stop():
            return _unfinished(progress, tally, dependencies)
        swept = _sweep_page(page, dependencies, request_id)
        tally.add(swept)
        if swept.counts[_CUT] and number > 0:
            return _unfinished(progress, tally, dependencies)
        if swept.counts[_CUT]:
            # This page used the whole run. Each merchant's own progress is kept, so the next round
            # continues with them; beginning with this page again would block all others.
            logger.error(MISSING_UNFINISHED, left_out=swept.counts[_CUT])
        progress = progress.model_copy(update={"last_merchant": page.last})
        _note(progress, dependencies)
    now = to_timestamp(dependencies.outside.now())
    _note(progress.model_copy(update={"finished_at": now, "last_merchant": None}), dependencies)
    return _report(tally, dependencies, finished=True)


def _begun(dependencies: SweepDependencies) -> SweepRound:
    """The unfinished round, or a new one."""
    last = dependencies.unsettled.round()
    if last is not None and last.finished_at is None:
        return last
    begun = first_round(to_timestamp(dependencies.outside.now()))
    _note(begun, dependencies)
    return begun


def _note(progress: SweepRound, dependencies: SweepDependencies) -> None:
    outside = dependencies.outside
    token = outside.new_id("swp", outside.now())
    dependencies.unsettled.note_round(progress, token=token)


def _unfinished(
    progress: SweepRound, tally: _Tally, dependencies: SweepDependencies
) -> SweepReport:
    logger.error(MISSING_UNFINISHED, last=progress.last_merchant)
    return _report(tally, dependencies, finished=False)


def _report(tally: _Tally, dependencies: SweepDependencies, *, finished: bool) -> SweepReport:
    return SweepReport(
        finished=finished,
        merchants=tally.counts["merchants"],
        missing=tally.counts["missing"],
        failed=tally.counts["failed"],
        open_exceptions=tally.exceptions.count,
        oldest_exception_days=tally.exceptions.age_days(dependencies.outside.now().date()),
    )


def _sweep_page(page: MerchantPage, dependencies: SweepDependencies, request_id: str) -> _Tally:
    def one(merchant_id: str) -> _Tally:
        sweep = _MerchantSweep(merchant_id, dependencies, request_id)
        try:
            sweep.run()
        except _OutOfTime:
            sweep.tally.counts[_CUT] += 1
        except Exception:  # noqa: BLE001 - one merchant's error must not block others
            logger.exception("a merchant could not be swept", merchant=merchant_id)
            sweep.tally.counts["failed"] += 1
        return sweep.tally

    total = _Tally(Counter({"merchants": len(page.ids)}))
    with dependencies.outside.threads(PARALLEL_MERCHANTS) as pool:
        for tally in pool.map(one, page.ids):
            total.add(tally)
    return total


class _MerchantSweep:
    """One merchant's days, from the end of its last sweep to the deadline."""

    def __init__(self, merchant_id: str, dependencies: SweepDependencies, request_id: str) -> None:
        self.tally = _Tally()
        self._merchant_id = merchant_id
        self._dependencies = dependencies
        self._outside = dependencies.outside
        self._unsettled = dependencies.unsettled
        self._request_id = request_id

    def run(self) -> None:
        """Sweep every day with due transactions. Raises _OutOfTime."""
        scope = Scope(self._merchant_id)
        merchant = self._dependencies.merchants.profile(self._merchant_id, scope)
        if merchant is None:
            return
        latest = deadline(self._outside.now(), merchant.reconciliation.sla_days)
        last_day = to_timestamp(latest)[:10]
        swept = self._unsettled.swept(merchant.id)
        # The last complete day is read once more: its index may have lagged.
        begin = swept.through if swept is not None else merchant.created_at[:10]
        through = begin
        try:
            for day in days_between(begin, last_day):
                self._sweep_day(merchant, day, latest)
                if day < last_day:
                    through = day
        finally:
            if through > begin:
                token = self._outside.new_id("swp", self._outside.now())
                self._unsettled.note_swept(merchant.id, through, token=token)
        self._count_exceptions(merchant)

    def _count_exceptions(self, merchant: MerchantProfile) -> None:
        lines = self._dependencies.lines
        for bucket in exception_buckets(merchant.id, merchant.index_buckets):
            if self._dependencies.must_stop():
                raise _OutOfTime
            entries = lines.open_in(bucket, page_size=EXCEPTIONS_PER_PAGE)
            self.tally.exceptions += OpenExceptions.of(each.exception_key for each in entries)

    def _sweep_day(self, merchant: MerchantProfile, day: str, latest: datetime) -> None:
        entries = self._unsettled.of_day(merchant, day, page_size=LINES_PER_COMMIT)
        while True:
            if self._dependencies.must_stop():
                raise _OutOfTime
            ids = [entry.id for entry in islice(entries, LINES_PER_COMMIT)]
            if not ids:
                return
            self._record(ids, merchant, day, latest)

    def _record(
        self, ids: Sequence[str], merchant: MerchantProfile, day: str, latest: datetime
    ) -> None:
        """Write the lines of due transactions; those that change meanwhile are read again."""
        attempts: Counter[str] = Counter()
        for _ in range(MAX_ATTEMPTS):
            rows = self._unsettled.transactions(ids, Scope(merchant.id))
            due = [row for row in rows if is_due(row, latest)]
            if not due:
                return
            now = self._outside.now()
            context = ChangeContext(
                changed_by=SWEPT_BY,
                request_id=self._request_id,
                cause=self._outside.new_id("mis", now),
            )
            found = [
                _found(row, missing_line(row.id, attempts[row.id]), day, merchant, context, now)
                for row in due
            ]
            before = self._unsettled.settlement(unsettled_settlement_id(merchant.id, day))
            lines = [each.line for each in found]
            after = with_missing_lines(before, lines, day, context, now)
            try:
                self._unsettled.record_missing(before, after, found, token=context.cause)
            except TransactionRefused as refused:
                attempts.update(_taken_by_others(found, refused))
                continue
            self.tally.counts["missing"] += len(found)
            return
        raise StaleWrite("transactions", f"of {merchant.id} kept changing while they were swept")


def _found(
    transaction: Transaction,
    line: int,
    day: str,
    merchant: MerchantProfile,
    context: ChangeContext,
    now: datetime,
) -> FoundMissing:
    row = missing_row(transaction, line, day, merchant, context, now)
    changes = {"missing_in": row.settlement_id, "missing_line": row.line}
    after = transaction.next_version(row.updated_at, changes, context)
    return FoundMissing(transaction, after, row)


def _taken_by_others(found: Sequence[FoundMissing], refused: TransactionRefused) -> Iterator[str]:
    """Transactions whose line number is in use: they get another.

    It is used by another transaction, or by the same one, missing, found and reversed in one day.
    """
    for position, each in enumerate(found, start=1):
        if "transaction_id" in refused.failed.get(position, {}):
            yield each.before.id
