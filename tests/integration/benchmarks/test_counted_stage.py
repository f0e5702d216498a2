"""What the bill of a sale is made from: counted calls, and threads in virtual time."""

from __future__ import annotations

import pytest

from benchmarks.bill.counted_stage import ARCHIVE, DELIVER, PROCESS, PROJECT, Clock, VirtualThreads
from benchmarks.bill.sale_bill import BUSY, MEMORY_MEGABYTES, QUIET, bill_of
from benchmarks.bill.shop import Shop
from benchmarks.rivals.sale_report import MOST_TRIPS, MOST_UNITS


def test_work_on_threads_takes_as_long_as_the_busiest_of_them() -> None:
    clock = Clock()

    def work(seconds: float) -> float:
        clock.now += seconds
        return seconds

    with VirtualThreads(clock, 2) as pool:
        results = list(pool.map(work, [3.0, 1.0, 1.0, 2.0]))
    assert results == [3.0, 1.0, 1.0, 2.0]
    assert clock.now == 4.0  # 3 on one thread; 1, 1 and 2 on the other


def test_an_error_of_a_thread_is_raised_where_its_result_is_asked_for() -> None:
    def fails() -> None:
        raise ValueError("broken")

    with VirtualThreads(Clock(), 1) as pool:
        future = pool.submit(fails)
        with pytest.raises(ValueError, match="broken"):
            future.result()


def test_a_bill_counts_the_request_and_all_that_is_derived_from_it() -> None:
    bill = bill_of(Shop(), QUIET, 2, client_cpu=0.001, at_once=False)
    assert set(bill.uses) == {PROCESS, PROJECT, DELIVER, ARCHIVE} == set(MEMORY_MEGABYTES)
    request = bill.uses[PROCESS]
    assert (request.invocations, request.calls) == (2, 2 * MOST_TRIPS)
    assert 0 < request.write_units <= 2 * MOST_UNITS
    derived = {table for table, _ in bill.uses[PROJECT].written}
    assert derived == {"audit_log", "webhooks", "totals", "entries", "accounts"}
    assert bill.uses[DELIVER].remote["endpoint"] == 2
    assert bill.archived_bytes > 0
    assert bill.seconds(PROCESS) > request.waited / 2
    assert bill.dollars(PROCESS)["API Gateway"] == pytest.approx(1e-6)
    assert bill.dollars(PROCESS)["Traces"] == pytest.approx(5e-6)
    assert bill.total > sum(bill.dollars(PROCESS).values()) > 0


def test_a_busy_stage_needs_fewer_invocations_for_the_same_sales() -> None:
    shop = Shop()
    quiet = bill_of(shop, QUIET, 4, 0.001, at_once=False)
    busy = bill_of(shop, BUSY, 4, 0.001, at_once=True)
    assert busy.uses[PROCESS].write_units == quiet.uses[PROCESS].write_units
    assert busy.uses[PROJECT].invocations < quiet.uses[PROJECT].invocations
    assert busy.total < quiet.total
