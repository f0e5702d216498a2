"""What the canary adds to a bill, calculated by hand."""

from __future__ import annotations

import pytest

from stacks.costs.bill import METRICS, Bill, bill_of, uncounted_schedules
from stacks.costs.canary import CANARY
from stacks.costs.prices import GIGABYTE, PRICES
from stacks.costs.resources import FunctionResource, StageResources
from stacks.costs.storage import stored_after
from tests.unit.costs.samples import resources, sales, uses

RUNS = 2_920.0
"""Every 15 minutes of a month of 730 hours."""
NOTHING = sales(0.0)


def stage_with_canary(mode: str, runs: float = RUNS) -> StageResources:
    return resources(
        functions={
            "process": FunctionResource(1_024, "arm64"),
            "canary": FunctionResource(256, "arm64", environment={"PROCESSORS": mode}),
        },
        runs={"canary": runs},
        routes_with_metrics=69,
        stream_mappings_with_metrics=10,
    )


def quantities(bill: Bill, part: str) -> dict[str, float]:
    return {each.price: each.quantity for each in bill.charges if each.part == part}


def test_a_canary_that_pays_is_billed_with_the_functions_that_answer_it() -> None:
    stage = stage_with_canary("test")
    found = quantities(bill_of(NOTHING, stage, uses(), PRICES), CANARY)
    assert found["dynamodb-write"] == pytest.approx(48 * RUNS)
    assert found["gateway-request"] == pytest.approx(2 * RUNS)
    assert found["secret-request"] == pytest.approx(RUNS)
    assert found["lambda-arm64"] == pytest.approx(2.0 * 256 / 1_024 * RUNS)
    assert found["metric"] == 2  # its successes, and how long a payment took
    assert uncounted_schedules(stage, uses()) == []


def test_metrics_of_a_stage_without_payments_are_those_that_the_canary_keeps() -> None:
    paying = bill_of(NOTHING, stage_with_canary("test"), uses(), PRICES)
    assert quantities(paying, METRICS) == {"metric": 2 * 6 + 10 * 7}
    reading = bill_of(NOTHING, stage_with_canary("live"), uses(), PRICES)
    assert quantities(reading, METRICS) == {"metric": 2 * 6}


def test_a_route_that_payments_and_the_canary_use_has_its_metrics_once() -> None:
    bill = bill_of(sales(1_000.0), stage_with_canary("test"), uses(), PRICES)
    assert quantities(bill, METRICS) == {"metric": 2 * 6 + 10 * 7}


def test_the_canarys_secret_is_billed_although_no_template_has_it() -> None:
    charges = bill_of(NOTHING, stage_with_canary("live"), uses(), PRICES).charges
    assert [each.quantity for each in charges if each.price == "secret"] == [1]


def test_what_a_canary_leaves_grows_every_month_and_reading_leaves_nothing() -> None:
    paying = stored_after(NOTHING, stage_with_canary("test"), uses(), 12)
    assert paying.item_gigabytes == pytest.approx(12 * RUNS * 1_000 / GIGABYTE)
    assert paying.entry_gigabytes == pytest.approx(12 * RUNS * 500 / GIGABYTE)
    assert paying.archive_gigabytes == pytest.approx(12 * RUNS * 4_000 / GIGABYTE)
    reading = stored_after(NOTHING, stage_with_canary("live"), uses(), 12)
    assert reading.table_gigabytes == reading.archive_gigabytes == 0
