"""The cost of a sale on the request's path: round trips, and units by the sizes of its items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.rivals.charge_workload import (
    ChargeWorkload,
    SalePrice,
    price_of_sale,
    price_of_variant,
    variants,
)
from runtime.dynamodb.capacity import WRITE_UNIT_BYTES
from runtime.payments.api import MAX_REFERENCE
from tests.support.platform import Platform

BUDGETS = {
    "sale": (2, 20),
    "sale to a customer": (2, 24),
    "sale by a stored method": (3, 24),
    "declined": (2, 17),
    "declined, a customer": (2, 23),
    "authorization": (2, 18),
}
"""Most round trips, and most write units, with the ledger's booking and all indexes."""
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)


@pytest.fixture
def workload(platform: Platform) -> ChargeWorkload:
    return ChargeWorkload(platform)


def assert_within(price: SalePrice, most_trips: int, most_units: int) -> None:
    ours = price.ours
    assert ours.trips <= most_trips, ours.trips
    assert ours.requested <= most_units, ours.writes
    sizes = [max(each.bytes_before, each.bytes_after) for each in ours.writes]
    assert max(sizes) <= WRITE_UNIT_BYTES, "a byte more, and that row costs double"


def test_every_kind_of_sale_stays_within_its_budget(workload: ChargeWorkload) -> None:
    prices = {each.name: price_of_variant(each) for each in variants(workload)}
    for name, (most_trips, most_units) in BUDGETS.items():
        assert_within(prices[name], most_trips, most_units)
    for name in ("sale", "sale to a customer", "sale by a stored method"):
        tables = {each.table.rpartition("-")[2] for each in prices[name].ours.writes}
        assert {"payments", "transactions", "transfers", "idempotency"} <= tables
        assert prices[name].ours.derived.total() > 0, (
            "the stream adds the booking to balances later"
        )
    assert prices["sale by a stored method"].ours.read_units == 1


def test_each_exact_limit_adds_one_counter_and_no_round_trip(workload: ChargeWorkload) -> None:
    kinds = {each.name: each for each in variants(workload)}
    plain, limited = (
        price_of_variant(kinds[name]).ours for name in ("sale", "sale under two limits")
    )
    assert limited.trips == plain.trips
    assert limited.requested == plain.requested + 2 * 2


def test_a_reference_adds_one_unit_for_its_index_and_only_where_it_is_given(
    workload: ChargeWorkload,
) -> None:
    plain = price_of_sale(workload.sell, workload).ours
    named = price_of_sale(lambda: workload.sell(reference="2026-004217"), workload).ours
    assert named.trips == plain.trips
    assert named.requested == plain.requested + 1
    longest = price_of_sale(lambda: workload.sell(reference="R" * MAX_REFERENCE), workload).ours
    assert longest.requested == named.requested, "an ordinary payment stays below 1 KB"


@pytest.mark.parametrize(
    ("most_units", "sell"),
    [
        (20, lambda workload: workload.sell()),
        (24, lambda workload: workload.sell(customer_id=workload.customer_id)),
    ],
    ids=["plain", "customer"],
)
def test_a_long_user_agent_and_subject_do_not_change_the_cost(
    workload: ChargeWorkload, most_units: int, sell: Callable[[ChargeWorkload], object]
) -> None:
    subject = "5f0c1c1e-7a43-4d2c-9a52-0f6f5a1b7f3e"
    workload.caller = replace(workload.caller, user_agent=BROWSER, subject=subject)
    assert_within(price_of_sale(lambda: sell(workload), workload), 2, most_units)
