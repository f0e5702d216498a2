"""The arithmetic of a bill, on examples that were calculated by hand."""

from __future__ import annotations

import pytest

from stacks.costs.bill import STORED, bill_of, traces, uncounted_schedules
from stacks.costs.comparison import sales_of, sensitivity
from stacks.costs.prices import DAYS_PER_MONTH, PRICES, SECONDS_PER_MONTH
from stacks.costs.resources import Backups, FunctionResource
from stacks.costs.storage import stored_after
from stacks.costs.uses import Operation, Use
from stacks.costs.workload import Workload
from tests.unit.costs.samples import SALE, SALE_USE, resources, sales, uses

MILLION = 1_000_000


def quantities(**changes: object) -> dict[str, float]:
    """Quantities by price of a million plain sales on a small stage."""
    bill = bill_of(sales(MILLION), resources(**changes), uses(sale=SALE), PRICES)
    return {each.price: each.quantity for each in bill.charges}


def test_a_million_sales() -> None:
    bill = bill_of(sales(MILLION), resources(), uses(sale=SALE), PRICES)
    dollars = {each.price: each.dollars for each in bill.charges if each.part == "sale"}
    assert dollars == pytest.approx(
        {
            "dynamodb-write": 12.50,  # 20 units
            "lambda-arm64": 0.266668,  # 20 ms on 1 GB
            "lambda-request": 0.20,
            "gateway-request": 1.00,
            "logs-ingested": 0.50,  # 50 + 500 + 450 bytes
        }
    )
    assert bill.per_thousand == pytest.approx(bill.dollars / 1_000)
    assert sum(bill.by_service().values()) == pytest.approx(bill.dollars)
    assert sum(bill.by_part().values()) == pytest.approx(bill.dollars)


def test_what_is_stored_adds_up_by_month_and_what_expires_does_not() -> None:
    stored = stored_after(sales(MILLION, months=12), resources(), uses(sale=SALE), 12)
    assert stored.item_gigabytes == pytest.approx(12.0 + 0.6 / DAYS_PER_MONTH)
    assert stored.entry_gigabytes == pytest.approx(6.0)
    assert stored.archive_gigabytes == pytest.approx(24.0)
    bill = bill_of(sales(MILLION, months=12), resources(), uses(sale=SALE), PRICES)
    tables = (12.0 + 0.6 / DAYS_PER_MONTH + 6.0) * 0.25
    logs = 1.0 * 30 / DAYS_PER_MONTH * 0.2 * 0.03  # 1 GB a month, kept 30 days, a fifth of it
    assert bill.of(STORED) == pytest.approx(tables + 24.0 * 0.023 + logs)


def test_recovery_and_backups_are_of_items_alone() -> None:
    daily = Backups(every_days=1.0, kept_days=7.0)
    changed = quantities(has_recovery=True, backups=(daily,))
    items = 1.0 + 0.6 / DAYS_PER_MONTH
    assert changed["dynamodb-recovery"] == pytest.approx(items)
    # Seven copies; each is a day's growth of a month smaller than the one after it.
    assert changed["backup-dynamodb"] == pytest.approx(items * (7 - 21 / DAYS_PER_MONTH))


def test_older_copies_are_smaller_and_a_second_vault_has_them_again() -> None:
    monthly = Backups(every_days=DAYS_PER_MONTH, kept_days=365.0)
    assert monthly.copies(12) == pytest.approx(sum(each / 12 for each in range(1, 13)))
    assert monthly.copies(2) == pytest.approx(1.0 + 0.5)
    assert Backups(DAYS_PER_MONTH, 365.0, vaults=2).copies(2) == pytest.approx(3.0)


def test_less_memory_than_a_core_takes_longer() -> None:
    use = Use(waited_seconds=0.1, cpu_seconds=0.01)
    assert use.seconds(1_769) == pytest.approx(0.11)
    assert use.seconds(3_538) == pytest.approx(0.11)
    assert use.seconds(885) == pytest.approx(0.1 + 0.01 * 1_769 / 885)


def test_the_first_invocation_of_a_second_is_traced_and_a_twentieth_of_the_rest() -> None:
    assert traces(1_000.0) == 1_000.0
    assert traces(SECONDS_PER_MONTH + 2_000) == pytest.approx(SECONDS_PER_MONTH + 100)
    traced = {"process": FunctionResource(1_024, "arm64", is_traced=True)}
    assert quantities(functions=traced)["trace"] == pytest.approx(MILLION)


def test_a_stage_without_payments_pays_for_what_is_there_and_for_its_schedules() -> None:
    stage = resources(
        functions={
            "resolver": FunctionResource(1_769, "arm64"),
            "process": FunctionResource(1_024, "arm64"),
        },
        runs={"resolver": 43_800.0},
        keys=5,
        alarm_metrics=127,
        dashboards=1,
        polled_queues=3,
        types={"AWS::CloudWatch::CompositeAlarm": 2, "AWS::SecretsManager::Secret": 1},
        routes_with_metrics=69,
        stream_mappings_with_metrics=10,
    )
    bill = bill_of(sales(0.0), stage, uses(sale=SALE), PRICES)
    found = {each.price: each.dollars for each in bill.charges}
    assert found["kms-key"] == pytest.approx(5.0)
    assert found["alarm-metric"] == pytest.approx(12.70)
    assert found["alarm-composite"] == pytest.approx(1.0)
    assert found["dashboard"] == pytest.approx(3.0)
    assert found["secret"] == pytest.approx(0.40)
    assert found["dynamodb-read"] == pytest.approx(43_800 * 256 * 0.125 / MILLION)
    assert found["sqs-request"] == pytest.approx(3 * 5 * SECONDS_PER_MONTH / 20 * 0.4 / MILLION)
    assert "metric" not in found  # no data points arrive


@pytest.mark.parametrize(("months", "keys"), [(12, 5), (13, 9), (25, 13), (60, 13)])
def test_the_first_two_rotations_of_an_encryption_key_cost_as_much_as_a_key(
    months: int, keys: int
) -> None:
    stage = resources(keys=5, signing_keys=1)
    bill = bill_of(sales(0.0, months=months), stage, uses(), PRICES)
    assert [each.quantity for each in bill.charges if each.price == "kms-key"] == [keys]


def test_detailed_metrics_are_those_of_routes_and_streams_in_use() -> None:
    changed = quantities(routes_with_metrics=69, stream_mappings_with_metrics=10)
    assert changed["metric"] == 6 + 10 * 7  # only POST /v1/payments is called


def test_data_events_are_the_calls_to_tables_and_buckets() -> None:
    assert quantities(records_functions=True)["trail-event"] == pytest.approx(2 * MILLION)


def test_a_schedule_that_was_not_counted_is_named() -> None:
    stage = resources(runs={"resolver": 1.0, "proof": 1.0, "unheard": 1.0})
    assert uncounted_schedules(stage, uses()) == ["unheard"]


# -------------------------------------------------------------------- workload


def test_the_parts_of_a_month_are_shares_of_its_payments() -> None:
    month = Workload(payments=1_000, holds=0.1, customers=0.5, refunds=0.02, declines=0.08)
    assert month.operations() == pytest.approx(
        {
            "sale": 450,
            "sale to a customer": 450,
            "authorization": 100,
            "capture": 100,
            "declined sale": 80,
            "refund": 20,
            "transfer": 0,
            "read": 1_000,
            "list": 50,
            "webhook": 1_000,
        }
    )


def test_more_payments_a_second_share_what_a_batch_costs() -> None:
    seconds = DAYS_PER_MONTH * 12 * 3_600
    month = Workload(payments=16 * seconds)  # 16 a second: one for each poll of each of 4 shards
    assert month.per_second == pytest.approx(16.0)
    assert month.together_share(0.0) == pytest.approx(0.5)
    assert month.together_share(1.0) == pytest.approx(1 - 1 / 5)
    assert Workload(payments=1, busy=0.7).together_share(0.0) == 0.7


def test_a_share_of_full_batches_is_between_both_counts() -> None:
    operation = Operation(
        alone={"project": Use(write_units=34.0)}, together={"project": Use(write_units=26.0)}
    )
    assert operation.use("project", 0.0).write_units == 34.0
    assert operation.use("project", 0.25).write_units == pytest.approx(32.0)
    assert operation.use("process", 0.5) == Use()


# -------------------------------------------------------------------- comparisons


def test_the_other_layout_is_priced_with_the_same_prices() -> None:
    ours = sales_of(SALE, ("process",), sales(MILLION), resources(), PRICES)
    assert (ours.write_units, ours.calls) == (20.0, 2.0)
    assert ours.dollars["writes"] == pytest.approx(12.50)
    assert ours.dollars["stored in tables"] == pytest.approx((1.5 + 0.6 / DAYS_PER_MONTH) * 0.25)
    assert ours.total == pytest.approx(sum(ours.dollars.values()))


def test_the_sensitivity_says_what_one_difference_adds() -> None:
    read = Operation(alone={"process": SALE_USE}, together={"process": SALE_USE})
    counted = uses(sale=SALE, read=read)
    bill = bill_of(sales(MILLION), resources(), counted, PRICES)
    changes = {each.what: each.dollars for each in sensitivity(bill, resources(), counted, PRICES)}
    # What a read uses here, and the logs of it that are stored.
    assert changes["one more read of each payment"] == pytest.approx(14.466668, abs=0.01)
    assert changes["no webhooks"] == 0.0
    assert changes["a year later"] > 0
