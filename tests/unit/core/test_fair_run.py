"""A run over many merchants' payments, in virtual time: how long each merchant waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import pytest

from runtime.core.fair_run import Due, Ended, RunLimits, WorkerThreads, run_fairly
from runtime.functions.composition.real_outside import RealThreads
from tests.support.simulation.resolver import Shop, VirtualPlatform, one_by_one

STUCK = 10_000
HOUR = 3_600.0
LIMITS = RunLimits(workers=64, per_owner=16)


def town_with_a_stuck_shop(payments: int = STUCK) -> VirtualPlatform:
    simulation = VirtualPlatform()
    stuck = Shop("stuck", 10.0, answers=False)
    for _ in range(payments):
        simulation.add(stuck, age_seconds=HOUR)
    return simulation


def test_ten_thousand_stuck_payments_of_a_merchant_delay_others_by_less_than_two_minutes() -> None:
    """Whenever the others' become due: before a run, while it begins queries, and while it ends."""
    simulation = town_with_a_stuck_shop()
    healthy = Shop("healthy", 0.1)
    for second in range(0, 240, 7):
        simulation.add(healthy, due_at=float(second))
    simulation.run_every_minute(partial(simulation.run, LIMITS), until=lambda: simulation.now > 300)
    assert len(simulation.delays["healthy"]) == 35
    assert max(simulation.delays["healthy"]) < 60.0
    assert simulation.most_in_flight["stuck"] == LIMITS.per_owner
    assert len(simulation.open) == STUCK, "none of them was dropped"
    asked = [times for name, times in simulation.asked.items() if name.startswith("stuck")]
    assert sum(asked) > 300, "they are queried throughout"


def test_in_sequence_three_hundred_stuck_payments_delay_another_by_half_an_hour() -> None:
    simulation = town_with_a_stuck_shop(300)
    simulation.add(Shop("healthy", 0.1), due_at=1.0)
    simulation.run_every_minute(
        partial(one_by_one, simulation), until=lambda: "healthy" in simulation.delays
    )
    assert simulation.delays["healthy"][0] > HOUR / 2


@pytest.mark.parametrize("shops", [1, 30])
def test_three_thousand_a_minute_are_resolved_with_a_processor_of_100_ms(shops: int) -> None:
    simulation = VirtualPlatform()
    for number in range(3_000):
        simulation.add(Shop(f"shop-{number % shops}", 0.1))
    simulation.run(LIMITS)
    assert simulation.open == {}
    assert simulation.now < 60.0
    assert max(simulation.most_in_flight.values()) <= LIMITS.per_owner
    assert set(simulation.asked.values()) == {1}, "each is queried once"


def test_a_run_ends_before_the_next_one_begins_however_much_is_due() -> None:
    simulation = town_with_a_stuck_shop()
    simulation.run(LIMITS)
    assert simulation.now < 60.0


def test_many_stuck_merchants_take_turns_with_the_others() -> None:
    simulation = VirtualPlatform()
    for number in range(50):
        for _ in range(40):
            simulation.add(Shop(f"stuck-{number}", 10.0, answers=False), age_seconds=HOUR)
    for second in range(0, 300, 7):
        simulation.add(Shop("healthy", 0.1), due_at=float(second))
    simulation.run_every_minute(partial(simulation.run, LIMITS), until=lambda: simulation.now > 400)
    assert len(simulation.delays["healthy"]) == 43
    assert max(simulation.delays["healthy"]) < 60.0


def test_without_time_nothing_is_begun_and_the_rest_is_reported() -> None:
    simulation = VirtualPlatform()
    for _ in range(3):
        simulation.add(Shop("shop", 0.1))
    with WorkerThreads(RealThreads(2)) as workers:
        run = run_fairly(simulation.look, workers, LIMITS, lambda: False, lambda: simulation.now)
    assert (run.due, run.left, run.results) == (3, {"shop": 3}, [])


class AtOnce:
    """A worker that is done immediately; each work takes a tenth of a second of a fake clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._done: list[Ended[str]] = []

    def begin(self, work: Callable[[], Ended[str]]) -> None:
        self.now += 0.1
        self._done.append(work())

    def ended(self, within_seconds: float | None) -> list[Ended[str]]:
        done, self._done = self._done, []
        return done


@pytest.mark.parametrize(
    ("begin_seconds", "done"), [(40.0, 95), (5.0, 51)], ids=["all", "until its time ends"]
)
def test_a_run_that_sees_a_part_at_a_time_goes_on_until_nothing_is_due(
    begin_seconds: float, done: int
) -> None:
    due = {f"pay_{n:03}" for n in range(95)}
    looks = 0

    def resolve(identifier: str) -> str:
        due.remove(identifier)
        return identifier

    def look() -> list[Due[str]]:
        nonlocal looks
        looks += 1
        return [Due(each, "shop", partial(resolve, each)) for each in sorted(due)[:10]]

    workers = AtOnce()
    limits = RunLimits(workers=2, per_owner=2, look_seconds=1_000, begin_seconds=begin_seconds)
    run = run_fairly(look, workers, limits, lambda: True, lambda: workers.now)
    assert len(run.results) == len(set(run.results)) == done
    assert (looks, run.left) == ((11, {}) if done == 95 else (6, {"shop": 9}))


# -------------------------------------------------------------------- threads


def test_threads_work_in_parallel_with_a_limit_per_owner() -> None:
    lock, working, most = threading.Lock(), {"a": 0, "b": 0}, {"a": 0, "b": 0}
    together = {"a": threading.Event(), "b": threading.Event()}

    def work(owner: str) -> str:
        with lock:
            working[owner] += 1
            most[owner] = max(most[owner], working[owner])
            if working[owner] == limits.per_owner:
                together[owner].set()
        together[owner].wait(10)
        with lock:
            working[owner] -= 1
        return owner

    dues = [Due(f"{owner}{n}", owner, partial(work, owner)) for n in range(20) for owner in "ab"]
    limits = RunLimits(workers=8, per_owner=3)
    with WorkerThreads[str](RealThreads(limits.workers)) as workers:
        run = run_fairly(lambda: dues, workers, limits, lambda: True, time.monotonic)
    assert sorted(run.results) == ["a"] * 20 + ["b"] * 20
    assert most == {"a": 3, "b": 3}


def test_works_that_end_together_are_processed_in_the_order_of_their_begin() -> None:
    workers = WorkerThreads[int](AllAtOnce(1))
    for number in range(40):
        workers.begin(partial(Ended, "a", number))
    assert [each.result for each in workers.ended(None)] == list(range(40))
    assert workers.ended(0.0) == []


class AllAtOnce(RealThreads):
    """Reports ended work only when all has ended, as an unordered set."""

    def first_done(self, futures: Iterable[Future[Any]], seconds: float | None) -> set[Future[Any]]:
        return set(wait(futures, 10).done)


def test_an_error_of_one_work_ends_the_run_after_the_others_have_ended() -> None:
    done: list[int] = []
    both = threading.Barrier(2)

    def work(number: int) -> None:
        both.wait(10)
        if number == 0:
            raise KeyError("an unexpected error")
        time.sleep(0.05)
        done.append(number)

    def look() -> Iterator[Due[None]]:
        for number in range(3):
            yield Due(str(number), "a", partial(work, number))

    limits = RunLimits(workers=2, per_owner=2)
    with pytest.raises(KeyError), WorkerThreads[None](RealThreads(limits.workers)) as workers:
        run_fairly(look, workers, limits, lambda: True, time.monotonic)
    assert done == [1]
