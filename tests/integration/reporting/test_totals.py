"""Totals: each payment adds once to its merchant's day, whatever happens in the stream."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from runtime.core.errors import SummaryTooLarge, Unavailable
from runtime.core.timestamps import end_of, start_of
from runtime.dynamodb.codec import Codec
from runtime.functions.composition.projector import Projector
from runtime.ledger.accounts.repository import is_number_guard
from runtime.payments.models import PaymentStatus
from runtime.reporting import summary
from runtime.reporting.totals.models import Group, Total
from runtime.reporting.totals.reader import TotalsReader
from runtime.reporting.totals.repository import TotalsRepository
from runtime.streams.records import Kind, StreamRecord, batch_answer
from tests.support.engines.choice import CHOSEN, engine_named
from tests.support.engines.faults import Faults, ProcessKilled, seeded
from tests.support.engines.streams import STORMY, Handler, SourceSettings, StreamPoller
from tests.support.fakes import START, ParkingLot
from tests.support.oracles.totals import (
    ChangingPayments,
    a_change,
    a_payment,
    count_all,
    counted_rows,
    fold,
    must_say,
    must_say_each_day,
    projection,
    recounted,
    stored,
    summary_of,
    total_rows,
    totals_must_be_exact,
    truth_of,
)
from tests.support.platform import Platform, at_once

S = PaymentStatus
DAYS = 4
CHANGES = 1_500
FAULT_RATE = 0.04


@pytest.fixture(params=CHOSEN)
def streaming(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """An empty platform with change streams on each engine that ENGINE names."""
    platform = Platform(engine_named(request.param, request), streams=True)
    yield platform
    platform.drop()


def faulty(platform: Platform, seed: str, kills: float = FAULT_RATE / 4) -> Any:
    """A store whose connection fails, gives up now and then, and whose process may die."""
    faults = Faults(seeded(seed, FAULT_RATE, kills, kill_anywhere=True))
    dice = Random(seed)
    return platform.store_on(
        faults.attach(platform.engine.dynamodb()),
        remaining_seconds=lambda: 0.0 if dice.random() < 0.05 else 60.0,
        sleep=lambda seconds: time.sleep(min(seconds, 0.01)),
    )


def handler(platform: Platform, seed: str) -> Handler:
    """The projector of payments as a function: an environment per thread, each with faults."""
    numbers, local = itertools.count(), threading.local()
    names = {physical: name for name, physical in platform.tables.items()}

    def invoke(event: dict[str, Any], _: Any) -> dict[str, Any]:
        if not hasattr(local, "projector"):
            counting = projection(platform, faulty(platform, f"{seed}-projector-{next(numbers)}"))
            codec: Codec = platform.store.codec
            local.projector = Projector(
                codec, {"payments": (counting,)}, is_number_guard, ParkingLot()
            )
        records = [StreamRecord.of(raw, names) for raw in event["Records"]]
        return batch_answer(records, local.projector.apply(records))

    return invoke


def fold_until(stop: threading.Event, platform: Platform, seed: str) -> int:
    """Fold repeatedly, with a bad connection and crashes; rows that were folded."""
    folded, numbers = 0, itertools.count()
    while not stop.is_set():
        try:
            folded += fold(platform, faulty(platform, f"{seed}-fold-{next(numbers)}")).rows
        except (ProcessKilled, Unavailable):
            continue
        stop.wait(0.2)
    return folded


# ------------------------------------------------------------ counting and folding


def test_totals_match_a_recount_after_late_repeated_and_interrupted_processing(
    streaming: Platform, dice: Random
) -> None:
    platform, seed = streaming, str(dice.random())
    shops = [platform.merchant(index_buckets=buckets) for buckets in (1, 4, 16)]
    payments = ChangingPayments(platform, dice, shops, days=DAYS)
    poller = StreamPoller(
        platform.engine,
        [platform.tables["payments"]],
        handler(platform, seed),
        seed=seed,
        faults=STORMY,
        settings=SourceSettings(batch_size=60, bisect_on_error=True),
    )
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        folding = pool.submit(fold_until, stop, platform, seed)
        try:
            with poller.running(workers=2):
                for _ in range(CHANGES):
                    payments.change()
            poller.drain(workers=2)
        finally:
            stop.set()
        folded = folding.result()
    totals_must_be_exact(platform)
    assert folded > 0
    assert {"killed", "late", "doubled"} <= set(poller.injected)
    fold(platform)
    totals_must_be_exact(platform)
    today = platform.clock().date().isoformat()
    assert {"#" in row.id for row in total_rows(platform) if row.group.day < today} == {False}
    assert {"#" in row.id for row in total_rows(platform) if row.group.day == today} == {True}
    for shop in shops:
        must_say(summary_of(platform, shop), truth_of(payments.rows.values(), shop))


def test_repeated_concurrent_and_unordered_changes_add_once(
    either_world: Platform, dice: Random
) -> None:
    platform = either_world
    shop = platform.merchant(index_buckets=4)
    payments = ChangingPayments(platform, dice, [shop], days=2)
    changes = [payments.change() for _ in range(400)]

    def work(own: Random) -> list[frozenset[str]]:
        several = [each for each in changes for _ in range(own.randint(1, 2))]
        own.shuffle(several)
        mine = projection(platform)
        return [mine(several[start : start + 90]) for start in range(0, len(several), 90)]

    seeds = [Random(dice.random()) for _ in range(3)]
    for outcome in at_once(*(lambda own=own: work(own) for own in seeds)):
        assert not isinstance(outcome, Exception), outcome
        assert set(outcome) == {frozenset()}
    totals_must_be_exact(platform)


def test_folding_during_payments_and_refunds_loses_nothing(
    either_world: Platform, dice: Random
) -> None:
    platform = either_world
    shop = platform.merchant(index_buckets=8)
    closed = platform.clock() - timedelta(days=2)
    first = [a_payment(shop, closed, amount_captured=100) for _ in range(120)]
    for payment in first:
        platform.put(payment)
    done = threading.Event()

    def count(mine: list[Any]) -> None:
        for payment in mine:
            assert projection(platform)([a_change(None, payment)]) == frozenset()
            after = payment.model_copy(update={"amount_refunded": 7, "version": 2})
            platform.put(after)
            assert projection(platform)([a_change(payment, after)]) == frozenset()

    def fold_on() -> int:
        rows = 0
        while not done.is_set():
            rows += fold(platform).rows
        return rows

    def count_all_of_them() -> int:
        try:
            for outcome in at_once(*(lambda n=n: count(first[n::3]) for n in range(3))):
                assert outcome is None, outcome
        finally:
            done.set()
        return 0

    outcomes = at_once(fold_on, fold_on, count_all_of_them)
    assert all(isinstance(each, int) for each in outcomes), outcomes
    totals_must_be_exact(platform)
    fold(platform)
    (row,) = total_rows(platform)
    assert (row.id, row.captured, row.refunded, row.count_succeeded) == (shop.id, 12_000, 840, 120)
    assert row.unfolded is None


def test_folding_killed_between_commits_is_finished_by_the_next_run(
    platform: Platform, dice: Random
) -> None:
    shop = platform.merchant(index_buckets=64)
    closed = platform.clock() - timedelta(days=1)
    for hours in range(150):
        platform.put(a_payment(shop, closed - timedelta(hours=hours), amount_captured=1))
    for payment in platform.payments():
        assert projection(platform)([a_change(None, payment)]) == frozenset()
    for number in range(12):
        store = faulty(platform, f"{dice.random()}-{number}", kills=0.3)
        try:
            fold(platform, store)
        except (ProcessKilled, Unavailable):
            continue
    assert fold(platform).finished
    totals_must_be_exact(platform)
    assert {row.id for row in total_rows(platform)} == {shop.id}


def test_a_folding_run_stops_in_time_and_continues_next_time(platform: Platform) -> None:
    shops = [platform.merchant() for _ in range(4)]
    for shop in shops:
        platform.put(a_payment(shop, platform.clock() - timedelta(days=1)))
    count_all(platform)
    calls = itertools.count()
    report = fold(platform, must_stop=lambda: next(calls) >= 2)
    assert (report.finished, report.merchants) == (False, 2)
    assert fold(platform).merchants == 2
    assert {row.id for row in total_rows(platform)} == {shop.id for shop in shops}


# ------------------------------------------------------------ out-of-band changes


def test_an_edit_without_a_new_version_and_a_deletion_are_not_counted(platform: Platform) -> None:
    shop = platform.merchant()
    payment = a_payment(shop, platform.clock(), amount_captured=1000)
    edited = payment.model_copy(update={"amount_captured": 5000})
    work = projection(platform)
    for old, new in [(None, payment), (payment, edited), (edited, None)]:
        assert work([a_change(old, new)]) == frozenset()
    assert stored(platform) == recounted([payment])


def test_an_edit_with_a_new_version_moves_the_payment_to_another_currency(
    platform: Platform,
) -> None:
    shop = platform.merchant()
    payment = a_payment(shop, platform.clock(), amount_captured=1000)
    moved = payment.model_copy(update={"currency": "JPY", "version": 2})
    work = projection(platform)
    assert work([a_change(None, payment)]) == work([a_change(payment, moved)]) == frozenset()
    after = {group: each for group, each in stored(platform).items() if each.not_zero()}
    assert after == recounted([moved])
    assert set(after) == {Group(shop.id, "2026-03-14", "JPY")}


def test_a_payment_without_an_outcome_writes_and_reads_nothing(platform: Platform) -> None:
    shop = platform.merchant()
    begun = a_payment(shop, platform.clock(), status=S.PROCESSING, merchant_bucket=None)
    again = begun.model_copy(update={"version": 2})
    platform.store.usage.restart()
    assert projection(platform)([a_change(None, begun), a_change(begun, again)]) == frozenset()
    assert platform.store.usage.counts()["round_trips"] == 0


def test_a_batch_of_new_payments_of_one_day_is_one_commit_and_no_read(platform: Platform) -> None:
    shop = platform.merchant(index_buckets=64)
    batch = [a_payment(shop, platform.clock()) for _ in range(99)]
    platform.store.usage.restart()
    assert projection(platform)([a_change(None, each) for each in batch]) == frozenset()
    counts = platform.store.usage.counts()
    assert (counts["round_trips"], counts["items"]) == (1, 100)
    (row,) = total_rows(platform)
    assert (row.count_succeeded, row.version) == (99, 1)


def test_a_damaged_total_parks_its_own_payments_and_blocks_no_others(platform: Platform) -> None:
    good, bad = platform.merchant(), platform.merchant()
    payments = [a_payment(shop, platform.clock()) for shop in (good, bad, good)]
    parking, codec = ParkingLot(), platform.store.codec
    work = Projector(codec, {"payments": (projection(platform),)}, is_number_guard, parking)
    broken = payments[1]
    platform.client.put_item(
        TableName=platform.tables["totals"],
        Item={
            "id": {"S": broken.merchant_bucket or ""},
            "item": {"S": f"{broken.created_at[:10]}#USD"},
            "count_succeeded": {"S": "no number"},
        },
    )
    records = [
        StreamRecord("payments", Kind.INSERT, f"{each.id}@1", None, codec.to_item(each))
        for each in payments
    ]
    assert work.apply(records) == frozenset()
    assert list(parking.parked) == [("payments", f"{broken.id}@1")]
    assert counted_rows(platform).keys() == {payments[0].id, payments[2].id}


# ------------------------------------------------------------ reading


def test_a_summary_read_while_days_are_folded_is_exact(either_world: Platform) -> None:
    platform = either_world
    shop = platform.merchant(index_buckets=32)
    payments = [
        a_payment(shop, platform.clock() - timedelta(days=n % 9 + 1), amount_captured=n)
        for n in range(300)
    ]
    for payment in payments:
        assert projection(platform)([a_change(None, payment)]) == frozenset()
    rows = len(total_rows(platform))
    truth = truth_of(payments, shop)
    done = threading.Event()

    def read() -> int:
        reads = 0
        while not done.is_set():
            must_say(summary_of(platform, shop), truth)
            reads += 1
        return reads

    def fold_all() -> int:
        try:
            return fold(platform).rows
        finally:
            done.set()

    folded, *reads = at_once(fold_all, read, read)
    assert folded == rows > 150
    assert all(isinstance(each, int) for each in reads), reads
    must_say(summary_of(platform, shop), truth)


def test_a_summary_read_during_changes_never_shows_half_of_a_step(
    platform: Platform, dice: Random
) -> None:
    shop = platform.merchant(index_buckets=16)
    done = threading.Event()

    def count(own: Random) -> None:
        work = projection(platform)
        for _ in range(15):
            batch = [a_payment(shop, platform.clock(), status=S.UNKNOWN) for _ in range(3)]
            assert work([a_change(None, each) for each in batch]) == frozenset()
            for status in (S.REQUIRES_CAPTURE, S.SUCCEEDED):
                after = [each.model_copy(update={"status": status}) for each in batch]
                after = [each.model_copy(update={"version": each.version + 1}) for each in after]
                own.shuffle(after)
                old = {each.id: each for each in batch}
                assert work([a_change(old[each.id], each) for each in after]) == frozenset()
                batch = after

    def write() -> None:
        own = [Random(dice.random()) for _ in range(2)]
        try:
            assert at_once(*(lambda r=r: count(r) for r in own)) == [None, None]
        finally:
            done.set()

    def read() -> None:
        last = 0
        while not done.is_set():
            reported = summary_of(platform, shop)
            assert min(reported.by_status.values(), default=1) > 0, reported
            assert sum(reported.by_status.values()) == reported.total_count >= last
            last = reported.total_count

    assert at_once(write, read, read) == [None, None, None]
    assert summary_of(platform, shop).by_status == {S.SUCCEEDED: 90}


def test_a_year_of_a_merchant_with_many_buckets_is_a_few_hundred_items(platform: Platform) -> None:
    shop = platform.merchant(index_buckets=64)
    payments = []
    for back in range(365):
        moment = platform.clock() - timedelta(days=back)
        payments += [a_payment(shop, moment, amount_captured=back) for _ in range(3)]
    today = [a_payment(shop, platform.clock(), amount_captured=1) for _ in range(400)]
    for start in range(0, len(payments), 90):
        batch = payments[start : start + 90]
        assert projection(platform)([a_change(None, each) for each in batch]) == frozenset()
    for payment in today:
        assert projection(platform)([a_change(None, payment)]) == frozenset()
    fold(platform)
    platform.store.usage.restart()
    reported = summary_of(platform, shop, start_date=payments[-1].created_at[:10])
    items = platform.store.usage.counts()["items"]
    must_say(reported, truth_of([*payments, *today], shop))
    assert 364 + 60 <= items <= 365 + 64 + 5
    print(f"a year's summary read {items} items")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-10", "2026-03-12"),
        ("2026-03-10T11:30:00Z", "2026-03-12"),
        ("2026-03-10", "2026-03-12T07:00:00.000Z"),
        ("2026-03-10T11:30:00+00:00", "2026-03-13T12:00:00Z"),
        ("2026-03-11T03:00:00Z", "2026-03-11T20:00:00Z"),
        ("2026-03-11T20:00:00Z", "2026-03-12T03:00:00Z"),
        ("2026-03-12", "2026-03-14"),
        ("2026-03-12", "9999-12-31"),
        ("2026-03-13T23:59:59.999Z", "2026-03-14T08:00:00Z"),
        ("2020-01-01", "2026-03-09T00:00:00Z"),
    ],
)
def test_whole_days_are_read_from_totals_and_parts_of_days_from_the_list(
    platform: Platform, start: str, end: str
) -> None:
    shop = platform.merchant(index_buckets=2)
    for hour in range(0, 6 * 24, 5):
        platform.put(a_payment(shop, START - timedelta(hours=hour), amount_captured=hour))
    count_all(platform)
    fold(platform)
    reported = summary_of(platform, shop, start_date=start, end_date=end)
    window = start_of(start), end_of(end)
    must_say(reported, truth_of(platform.payments(), shop, *window))
    assert reported.by_day is None
    each_day = summary_of(platform, shop, start_date=start, end_date=end, interval="day")
    must_say(each_day, truth_of(platform.payments(), shop, *window))
    must_say_each_day(each_day, platform.payments(), shop, *window)


def test_parts_of_days_are_refused_beyond_a_limit_and_whole_days_never(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "MAX_PART_PAYMENTS", 5)
    shop = platform.merchant()
    for _ in range(6):
        platform.put(a_payment(shop, START - timedelta(days=1)))
    count_all(platform)
    assert summary_of(platform, shop).total_count == 6
    day = (START - timedelta(days=1)).date().isoformat()
    with pytest.raises(SummaryTooLarge, match="ask for whole days"):
        summary_of(platform, shop, start_date=f"{day}T00:00:01Z", end_date=day)


def test_a_constantly_changing_summary_is_refused_instead_of_wrong(
    platform: Platform,
) -> None:
    shop = platform.merchant()
    totals = TotalsRepository(platform.store)

    class Moving(TotalsRepository):
        def between_days(self, *arguments: Any) -> list[Total]:
            rows = super().between_days(*arguments)
            platform.put(a_payment(shop, START - timedelta(days=1)))
            count_all(platform)
            fold(platform)
            return rows

    pauses: list[float] = []
    reader = TotalsReader(Moving(platform.store), pauses.append)
    with pytest.raises(Unavailable, match="consolidated"):
        reader.by_group(shop, "2026-03-01", "2026-03-31")
    assert pauses == sorted(pauses)
    assert 0 < sum(pauses) < 5
    found = TotalsReader(totals, platform.outside.sleep).by_group(shop, "2026-03-01", "2026-03-31")
    assert sum(each.count_succeeded for each in found.values()) == len(pauses)
    assert {currency for _, currency in found} == {"USD"}
