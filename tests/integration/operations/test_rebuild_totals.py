"""`make rebuild-totals`: errors are reported and repaired; payments in flight are not errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from operations.totals.books import TotalsScan
from operations.totals.reconciler import CheckReport, TotalsReconcilerDependencies, check_totals
from operations.totals.snapshot import SnapshotDependencies
from runtime.core.scope import Scope
from runtime.merchants.models import Merchant, MerchantProfile
from runtime.merchants.repository import MerchantRepository
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.repository import PaymentRepository
from runtime.reporting.totals.models import Figures, Group, Total
from runtime.reporting.totals.reader import TotalsReader
from runtime.reporting.totals.repository import TotalsRepository
from tests.support.oracles.totals import (
    ChangingPayments,
    a_change,
    a_payment,
    counted_rows,
    fold,
    must_say,
    projection,
    summary_of,
    total_rows,
    totals_must_be_exact,
    truth_of,
)
from tests.support.platform import Platform, at_once

DAYS = 3


def deps(
    platform: Platform, sleep: Callable[[float], None] = lambda _: None, **changes: Any
) -> TotalsReconcilerDependencies:
    """The check's services; `sleep` is what happens while it waits."""
    totals, payments = TotalsRepository(platform.store), PaymentRepository(platform.store)
    merchants = MerchantRepository(platform.store)
    values: dict[str, Any] = {
        "books": TotalsScan(platform.store, page_size=40),
        "totals": totals,
        "payments": payments,
        "look": SnapshotDependencies(
            totals,
            TotalsReader(totals, platform.outside.sleep),
            payments,
            PaymentLists(platform.store),
            merchants,
        ),
        "outside": replace(platform.outside, sleep=sleep),
        **changes,
    }
    return TotalsReconcilerDependencies(**values)


def populated(platform: Platform, dice: Random, buckets: int = 4) -> tuple[MerchantProfile, ...]:
    """Some shops with payments of some days, all counted; closed days are folded."""
    shops = tuple(platform.merchant(index_buckets=buckets) for _ in range(2))
    payments = ChangingPayments(platform, dice, shops, days=DAYS)
    work = projection(platform)
    for _ in range(4):
        assert work([payments.change() for _ in range(60)]) == frozenset()
    fold(platform)
    totals_must_be_exact(platform)
    return shops


def named(report: CheckReport) -> dict[Group, dict[str, int]]:
    """The surplus of the rows, by group."""
    return {each.group: each.found.minus(each.expected).not_zero() for each in report.differences}


def folded_row(platform: Platform) -> Total:
    return min((row for row in total_rows(platform) if row.captured), key=lambda row: row.id)


def wrong(platform: Platform) -> dict[Group, dict[str, int]]:
    row = folded_row(platform)
    platform.put(row.model_copy(update={"captured": row.captured + 5, "count_failed": 99}))
    return {row.group: {"captured": 5, "count_failed": 99 - row.count_failed}}


def missing(platform: Platform) -> dict[Group, dict[str, int]]:
    row = folded_row(platform)
    platform.delete(row)
    return {row.group: Figures().minus(row).not_zero()}


def doubled(platform: Platform) -> dict[Group, dict[str, int]]:
    row = folded_row(platform)
    platform.put(row.model_copy(update={"id": f"{row.group.merchant_id}#003"}))
    return {row.group: row.not_zero()}


def not_counted(platform: Platform) -> dict[Group, dict[str, int]]:
    """A payment whose record was dropped."""
    first = platform.payments()[0]
    lost = a_like(first, first.id[:-3] + "ZZZ")
    platform.put(lost)
    change = Figures(
        **{f"count_{lost.status.value}": -1},
        captured_count=-1,
        captured=-lost.amount_captured,
    )
    group = Group(lost.merchant_id, lost.created_at[:10], lost.currency)
    return {group: change.not_zero()}


def a_like(payment: Payment, payment_id: str) -> Payment:
    """Another payment of the same merchant and moment, captured in full."""
    return payment.model_copy(
        update={
            "id": payment_id,
            "version": 1,
            "status": PaymentStatus.SUCCEEDED,
            "merchant_bucket": f"{payment.merchant_id}#001",
            "amount_captured": 77,
            "amount_refunded": 0,
            "fee": 0,
        }
    )


def counted_wrong(platform: Platform) -> dict[Group, dict[str, int]]:
    """The counted state of a payment was edited, and the sum of its group as well."""
    counted = next(row for row in counted_rows(platform).values() if row.captured)
    platform.put(counted.model_copy(update={"captured": counted.captured + 9}))
    row = next(row for row in total_rows(platform) if row.group == counted.group)
    platform.put(row.model_copy(update={"captured": row.captured + 9}))
    return {counted.group: {"captured": 9}}


def edited(platform: Platform) -> dict[Group, dict[str, int]]:
    """A payment was edited out of band, without a new version."""
    payment = next(row for row in platform.payments() if row.amount_captured > 1)
    platform.put(payment.model_copy(update={"amount_captured": payment.amount_captured - 1}))
    group = Group(payment.merchant_id, payment.created_at[:10], payment.currency)
    return {group: {"captured": 1}}


def moved(platform: Platform) -> dict[Group, dict[str, int]]:
    """The currency of a payment was edited out of band."""
    counted = next(row for row in counted_rows(platform).values() if row.currency == "USD")
    payment = next(row for row in platform.payments() if row.id == counted.id)
    platform.put(payment.model_copy(update={"currency": "JPY"}))
    too_much = Figures(
        **{f"count_{payment.status.value}": 1},
        captured_count=int(payment.amount_captured > 0),
        captured=payment.amount_captured,
        refunded=payment.amount_refunded,
        fees=payment.fee,
    )
    there = counted.group._replace(currency="JPY")
    return {
        counted.group: too_much.not_zero(),
        there: Figures().minus(too_much).not_zero(),
    }


def deleted(platform: Platform) -> dict[Group, dict[str, int]]:
    """A payment was deleted out of band; its counted state remains."""
    counted = next(row for row in counted_rows(platform).values() if row.captured)
    platform.delete(next(row for row in platform.payments() if row.id == counted.id))
    too_much = Figures(
        **{f"count_{counted.status.value}": 1},
        captured_count=1,
        captured=counted.captured,
        refunded=counted.refunded,
        fees=counted.fee,
    )
    return {counted.group: too_much.not_zero()}


DAMAGES = [wrong, missing, doubled, not_counted, counted_wrong, edited, moved, deleted]
Damage = Callable[[Platform], dict[Group, dict[str, int]]]


def test_correct_totals_are_verified_by_one_read(either_world: Platform, dice: Random) -> None:
    platform = either_world
    populated(platform, dice)
    waits: list[float] = []
    read: dict[str, int] = {}

    def progress(table: str, rows: int) -> None:
        read[table] = read.get(table, 0) + rows

    report = check_totals(deps(platform, sleep=waits.append, progress=progress))
    assert (report.holds, report.differences, report.unsettled, waits) == (True, [], [], [])
    assert report.payments == read["payments"] == len(platform.payments())
    assert report.groups == len({row.group for row in total_rows(platform)})


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_difference_is_reported_and_repaired_exactly(
    platform: Platform, dice: Random, damage: Damage
) -> None:
    shops = populated(platform, dice)
    expected = damage(platform)
    found = check_totals(deps(platform))
    assert not found.holds
    assert named(found) == expected
    assert not any(each.repaired for each in found.differences)
    repaired = check_totals(deps(platform), repair=True)
    assert named(repaired).keys() <= expected.keys()
    assert repaired.holds
    again = check_totals(deps(platform))
    assert (again.differences, again.unsettled) == ([], [])
    fold(platform)
    for shop in shops:
        must_say(summary_of(platform, shop), truth_of(platform.payments(), shop))


def test_miscounted_payments_are_counted_again_in_the_order_of_their_ids(
    platform: Platform, dice: Random
) -> None:
    """A set's order differs between processes; the requests to DynamoDB must not."""
    populated(platform, dice)
    group = platform.payments()[0].merchant_id
    lost = [
        a_like(platform.payments()[0], f"{platform.payments()[0].id[:-2]}{n:02}") for n in range(20)
    ]
    for payment in lost:
        platform.put(payment)
    read: list[str] = []

    class Noting(PaymentRepository):
        def get(self, payment_id: str, scope: Scope) -> Payment | None:
            read.append(payment_id)
            return super().get(payment_id, scope)

    report = check_totals(deps(platform, payments=Noting(platform.store)), repair=True)
    assert [each.group.merchant_id for each in report.differences] == [group]
    assert report.holds
    assert read == sorted(payment.id for payment in lost)


def test_more_groups_than_fit_into_memory_are_read_in_parts(
    platform: Platform, dice: Random
) -> None:
    shops = populated(platform, dice)
    groups = {row.group for row in total_rows(platform)}
    most = 2 * max(len([g for g in groups if g.merchant_id == shop.id]) for shop in shops)
    expected = wrong(platform)
    report = check_totals(deps(platform, max_groups=most))
    assert report.passes > 1
    assert (report.payments, report.groups) == (len(platform.payments()), len(groups))
    assert named(report) == expected


def test_payments_in_flight_are_not_differences(platform: Platform, dice: Random) -> None:
    shops = populated(platform, dice)
    waiting = [a_payment(shops[0], platform.clock(), amount_captured=n) for n in range(30)]
    for payment in waiting:
        platform.put(payment)

    def meanwhile(_: float) -> None:
        """The stream delivers, and new payments arrive."""
        assert projection(platform)([a_change(None, each) for each in waiting]) == frozenset()
        waiting[:] = [a_payment(shops[0], platform.clock()) for _ in range(3)]
        for payment in waiting:
            platform.put(payment)

    report = check_totals(deps(platform, sleep=meanwhile))
    assert (report.differences, report.unsettled) == ([], [])


def test_a_wrong_total_is_repaired_while_payments_and_folding_continue(
    platform: Platform, dice: Random
) -> None:
    shops = populated(platform, dice, buckets=8)
    yesterday = [
        a_payment(shops[0], platform.clock() - timedelta(days=1), amount_captured=10)
        for _ in range(60)
    ]
    for payment in yesterday:
        platform.put(payment)
    assert projection(platform)([a_change(None, each) for each in yesterday]) == frozenset()
    group = Group(shops[0].id, yesterday[0].created_at[:10], "USD")
    row = next(row for row in total_rows(platform) if row.group == group)
    platform.put(row.model_copy(update={"captured": row.captured + 1_000}))
    done = threading.Event()

    def refund() -> int:
        """Slowly, as closed days change."""
        made = 0
        for payment in yesterday:
            after = payment.model_copy(update={"amount_refunded": 3, "version": 2})
            platform.put(after)
            assert projection(platform)([a_change(payment, after)]) == frozenset()
            made += 1
            if done.wait(0.15):
                return made
        return made

    def repair() -> CheckReport:
        try:
            for _ in range(10):
                report = check_totals(
                    deps(platform, sleep=lambda _: fold(platform) and None), repair=True
                )
                if any(each.repaired for each in report.differences):
                    return report
            raise AssertionError("the total was never repaired")
        finally:
            done.set()

    report, made = at_once(repair, refund)
    assert isinstance(report, CheckReport), report
    assert isinstance(made, int), made
    assert [each.group for each in report.differences] == [group]
    totals_must_be_exact(platform)


def test_a_merchant_whose_buckets_grow_during_a_check_is_not_repaired(
    platform: Platform, dice: Random
) -> None:
    """A payment of the first bucket is counted in the third, in a batch with another one."""
    shop = platform.merchant(index_buckets=1)
    checking = deps(platform)
    assert check_totals(checking, repair=True).holds
    (row,) = (each for each in platform.rows(Merchant) if each.id == shop.id)
    platform.put(row.model_copy(update={"index_buckets": 4, "version": row.version + 1}))
    paid = [
        a_payment(
            shop, platform.clock(), amount_captured=100, merchant_bucket=f"{shop.id}#{number}"
        )
        for number in ("002", "000")
    ]
    for payment in paid:
        platform.put(payment)
    assert projection(platform)([a_change(None, each) for each in paid]) == frozenset()
    assert [total.id for total in total_rows(platform)] == [f"{shop.id}#002"]
    report = check_totals(checking, repair=True)
    assert (report.holds, report.differences) == (True, [])
    totals_must_be_exact(platform)


def test_two_concurrent_repairs_correct_once(platform: Platform, dice: Random) -> None:
    populated(platform, dice)
    wrong(platform)
    barrier = threading.Barrier(2)

    class AtOnce(TotalsRepository):
        def correct(self, *arguments: Any, **more: Any) -> None:
            barrier.wait(timeout=60)
            super().correct(*arguments, **more)

    reports = at_once(
        *(lambda: check_totals(deps(platform, totals=AtOnce(platform.store)), repair=True),) * 2
    )
    assert all(isinstance(each, CheckReport) and each.holds for each in reports), reports
    totals_must_be_exact(platform)
