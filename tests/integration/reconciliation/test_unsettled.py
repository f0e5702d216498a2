"""The sweep for captures and refunds that no settlement file has contained in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from runtime.merchants.models import Merchant, MerchantProfile, ReconciliationTerms
from runtime.merchants.repository import MerchantRepository
from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.reconciliation.settlements.line_keys import FIRST_MISSING_LINE
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Settlement,
    SettlementLine,
    SettlementStatus,
    TypeTotal,
)
from runtime.reconciliation.unsettled import sweep as unsettled
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from runtime.reconciliation.unsettled.sweep import SweepDependencies, SweepReport, sweep_missing
from tests.support.platform import Platform, at_once


class Countdown:
    """A deadline that has passed once it was read this often."""

    def __init__(self, times: int) -> None:
        self._left = times

    def is_over(self) -> bool:
        self._left -= 1
        return self._left < 0


WEEK = timedelta(days=7).total_seconds()


def dependencies(
    platform: Platform, must_stop: Callable[[], bool] = lambda: False
) -> SweepDependencies:
    return SweepDependencies(
        UnsettledRepository(platform.store),
        MerchantRepository(platform.store),
        SettlementLineRepository(platform.store),
        platform.outside,
        must_stop,
    )


def sweep(platform: Platform) -> SweepReport:
    return sweep_missing(dependencies(platform), "sweep")


def shop(platform: Platform, sla_days: int = 7) -> MerchantProfile:
    return platform.merchant(reconciliation=ReconciliationTerms(sla_days=sla_days))


def must_agree(platform: Platform) -> None:
    """Every missing transaction has exactly one line, and every settlement counts its lines."""
    lines = {(row.settlement_id, row.line): row for row in platform.rows(SettlementLine)}
    marked = [row for row in platform.rows(Transaction) if row.missing_in is not None]
    assert sorted(lines) == sorted((row.missing_in, row.missing_line) for row in marked)
    for row in marked:
        assert lines[row.missing_in, row.missing_line].transaction_id == row.id
    for settlement in platform.rows(Settlement):
        of_it = [row for (each, _), row in lines.items() if each == settlement.id]
        assert settlement.counts == {LineStatus.MISSING: len(of_it)}
        assert settlement.open_exceptions == settlement.lines_done == len(of_it)


def test_a_transaction_in_no_file_after_the_deadline_becomes_one_missing_line(
    platform: Platform,
) -> None:
    merchant = shop(platform)
    platform.operate(merchant, platform.paid(merchant), "refund", amount=400)
    platform.pay(merchant, payment_method="tok_declined")
    platform.paid(merchant, capture_method="manual")
    day = platform.clock().date().isoformat()
    platform.clock.advance(WEEK - 1)
    assert sweep(platform) == SweepReport(
        finished=True,
        merchants=1,
        missing=0,
        failed=0,
        open_exceptions=0,
        oldest_exception_days=0,
    )
    platform.clock.advance(1)
    assert sweep(platform).missing == 2
    assert sweep(platform).missing == 0
    (settlement,) = platform.rows(Settlement)
    assert (settlement.date, settlement.format) == (day, "unsettled")
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    assert settlement.by_type == {
        LineType.CAPTURE: {"USD": TypeTotal(count=1, amount=1000, fee=59, net=941)},
        LineType.REFUND: {"USD": TypeTotal(count=1, amount=-400, fee=0, net=-400)},
    }
    for line in platform.rows(SettlementLine):
        assert line.line >= FIRST_MISSING_LINE
        assert line.exception_key is not None
        assert line.exception_key.startswith(f"missing#{day}#{settlement.id}#")
        assert line.expected is not None
        assert (line.expected.amount, line.expected.fee) == (line.amount, line.fee)
        assert line.bookings == ()
    must_agree(platform)


def test_a_sweep_counts_the_open_exceptions_of_all_merchants(platform: Platform) -> None:
    for days in (3, 0):
        merchant = shop(platform, sla_days=0)
        for _ in range(2):
            platform.paid(merchant)
        platform.clock.advance(timedelta(days=days).total_seconds())
    report = sweep(platform)
    assert (report.missing, report.open_exceptions, report.oldest_exception_days) == (4, 4, 3)
    platform.clock.advance(timedelta(days=1).total_seconds())
    again = sweep(platform)
    assert (again.missing, again.open_exceptions, again.oldest_exception_days) == (0, 4, 4)


def test_a_transaction_settled_during_the_sweep_is_not_missing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    merchant = shop(platform, sla_days=0)
    for _ in range(3):
        platform.paid(merchant)
    settled = platform.rows(Transaction)[0].id
    judged = unsettled.missing_row

    def settle_first(*arguments: object) -> SettlementLine:
        monkeypatch.setattr(unsettled, "missing_row", judged)
        (row,) = (row for row in platform.rows(Transaction) if row.id == settled)
        changes = {"status": TransactionStatus.SETTLED, "version": row.version + 1}
        platform.put(row.model_copy(update={**changes, "unsettled_bucket": None}))
        return judged(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(unsettled, "missing_row", settle_first)
    assert sweep(platform).missing == 2
    assert settled not in {line.transaction_id for line in platform.rows(SettlementLine)}
    must_agree(platform)


def test_two_concurrent_sweeps_write_each_line_once(platform: Platform) -> None:
    merchant = shop(platform, sla_days=0)
    for _ in range(5):
        platform.paid(merchant)
    reports = at_once(*[lambda: sweep(platform)] * 4)
    assert all(isinstance(report, SweepReport) and not report.failed for report in reports)
    assert sum(report.missing for report in reports if isinstance(report, SweepReport)) == 5
    must_agree(platform)


def test_an_interrupted_sweep_continues_where_it_stopped(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsettled, "LINES_PER_COMMIT", 1)
    monkeypatch.setattr(unsettled, "MERCHANTS_PER_PAGE", 1)
    for _ in range(2):
        merchant = shop(platform, sla_days=0)
        for _ in range(2):
            platform.paid(merchant)
            platform.clock.advance(timedelta(days=1).total_seconds())
    found, runs = 0, 0
    while True:
        left = Countdown(5)
        report = sweep_missing(dependencies(platform, left.is_over), "sweep")
        found, runs = found + report.missing, runs + 1
        must_agree(platform)
        if report.finished and found == 4:
            break
        assert runs < 20, "the sweep does not end"
    assert runs > 1
    assert len(platform.rows(SettlementLine)) == 4


def test_a_shortened_deadline_covers_days_that_were_skipped(
    platform: Platform,
) -> None:
    merchant = shop(platform, sla_days=30)
    platform.paid(merchant)
    platform.clock.advance(timedelta(days=10).total_seconds())
    assert sweep(platform).missing == 0
    (row,) = platform.rows(Merchant)
    platform.put(row.model_copy(update={"reconciliation": ReconciliationTerms(sla_days=3)}))
    assert sweep(platform).missing == 1


def test_a_line_number_in_use_is_skipped(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    merchant = shop(platform, sla_days=0)
    for _ in range(3):
        platform.paid(merchant)
    order = sorted(row.id for row in platform.rows(Transaction))

    def crowded(transaction_id: str, attempt: int = 0) -> int:
        return FIRST_MISSING_LINE + (attempt and order.index(transaction_id) + attempt)

    monkeypatch.setattr(unsettled, "LINES_PER_COMMIT", 1)
    monkeypatch.setattr(unsettled, "missing_line", crowded)
    assert sweep(platform).missing == 3
    assert len({line.line for line in platform.rows(SettlementLine)}) == 3
    must_agree(platform)
