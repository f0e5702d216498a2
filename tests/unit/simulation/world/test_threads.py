"""Threads and locks that yield instead of blocking."""

from __future__ import annotations

import pytest

from runtime.core.outside import AwsClients
from simulation.environments import Environment
from simulation.faults import FaultRates
from simulation.outside import BEGINNING, outside_for
from simulation.scheduler import Scheduler
from simulation.tasks import LambdaDied, Violation

NO_AWS: AwsClients = None


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler("threads", FaultRates.calm())


def run(scheduler, work, seconds=100.0):
    """The outcome of `work(outside)` in a separate environment."""
    environment = Environment("e", skew_seconds=1.5)
    outside = outside_for(scheduler, environment, NO_AWS)
    return scheduler.invoke("f", lambda: work(outside), seconds=seconds, environment=environment)


def test_map_works_in_parallel_and_returns_in_order(scheduler):
    def work(outside):
        with outside.threads(2) as pool:
            return list(pool.map(lambda n: (outside.sleep(n), n)[1], [3, 1, 1, 1]))

    assert run(scheduler, work) == [3, 1, 1, 1]
    assert scheduler.now == pytest.approx(3, abs=0.01)


def test_map_raises_at_the_position_of_the_item_and_begins_no_more(scheduler):
    begun = []

    def work(outside):
        def one(n):
            begun.append(n)
            outside.sleep(1)
            if n == 1:
                raise KeyError(n)
            return n

        with outside.threads(2) as pool:
            results = pool.map(one, range(50))
            assert next(results) == 0
            list(results)

    with pytest.raises(KeyError):
        run(scheduler, work)
    assert len(begun) <= 4


def test_first_done_returns_as_soon_as_one_has_ended(scheduler):
    def work(outside):
        pool = outside.threads(3)
        slow, fast = pool.submit(outside.sleep, 5), pool.submit(outside.sleep, 2)
        assert pool.first_done([slow, fast], 1.0) == set()
        assert pool.first_done([slow, fast], None) == {fast}
        assert pool.first_done([slow], None) == {slow}
        pool.shutdown()

    run(scheduler, work)
    assert scheduler.now == pytest.approx(5, abs=0.01)


def test_waiting_for_a_future_can_time_out(scheduler):
    def work(outside):
        future = outside.threads(1).submit(outside.sleep, 5)
        with pytest.raises(TimeoutError):
            future.result(timeout=1)
        return future.result()

    assert run(scheduler, work) is None


def test_a_shut_down_pool_accepts_nothing_and_cancels_what_has_not_begun(scheduler):
    def work(outside):
        pool = outside.threads(1)
        first, second = pool.submit(outside.sleep, 1), pool.submit(outside.sleep, 1)
        outside.sleep(0.5)
        pool.shutdown(cancel_futures=True)
        assert (first.cancelled(), second.cancelled()) == (False, True)
        with pytest.raises(RuntimeError):
            pool.submit(outside.sleep, 1)

    run(scheduler, work)
    assert scheduler.now == pytest.approx(1, abs=0.01)


def test_the_order_of_a_set_of_futures_does_not_depend_on_memory():
    def work(outside):
        pool = outside.threads(8)
        futures = [pool.submit(lambda n=n: n) for n in range(8)]
        outside.sleep(1)
        return [each.result() for each in pool.first_done(reversed(futures), None)]

    def order():
        return run(Scheduler("set", FaultRates.calm()), work)

    assert order() == order()


def test_threads_die_with_their_environment(scheduler):
    seen = []

    def work(outside):
        with outside.threads(2) as pool:
            pool.submit(lambda: (outside.sleep(10), seen.append("alive")))

    with pytest.raises(LambdaDied):
        run(scheduler, work, seconds=3)
    scheduler.run()
    assert seen == []


def test_a_lock_admits_one_at_a_time(scheduler):
    inside, most = [], []

    def work(outside):
        lock = outside.lock()

        def one(n):
            with lock:
                inside.append(n)
                most.append(len(inside))
                outside.sleep(1)
                inside.remove(n)

        with outside.threads(5) as pool:
            list(pool.map(one, range(5)))

    run(scheduler, work)
    assert max(most) == 1
    assert scheduler.now == pytest.approx(5, abs=0.01)


def test_taking_a_held_lock_again_is_reported(scheduler):
    def work(outside):
        lock = outside.lock()
        with lock, lock:
            pass

    with pytest.raises(Violation, match="deadlock"):
        run(scheduler, work)


def test_a_deadlock_is_reported(scheduler):
    def work(outside):
        one, two = outside.lock(), outside.lock()

        def both(first, second):
            with first:
                outside.sleep(1)
                with second:
                    pass

        with outside.threads(2) as pool:
            list(pool.map(both, [one, two], [two, one]))

    with pytest.raises(Violation, match="deadlock"):
        run(scheduler, work)


def test_a_thread_that_waits_for_a_full_pool_is_reported_when_lambda_stops_it(scheduler):
    def work(outside):
        pool = outside.threads(1)
        pool.submit(lambda: pool.submit(lambda: 1).result()).result()

    with pytest.raises(Violation, match="deadlock"):
        run(scheduler, work, seconds=10)


def test_time_is_virtual_and_each_environment_has_its_own_skew(scheduler):
    def work(outside):
        before = outside.monotonic()
        outside.sleep(60)
        return outside.monotonic() - before, (outside.now() - BEGINNING).total_seconds()

    passed, wall = run(scheduler, work)
    assert passed == pytest.approx(60)
    assert wall == pytest.approx(scheduler.now + 1.5)


def test_entropy_comes_from_the_seed():
    def drawn(seed):
        scheduler = Scheduler(seed, FaultRates.calm())
        return run(scheduler, lambda outside: (outside.entropy(8), outside.chance.random()))

    assert drawn("a") == drawn("a")
    assert drawn("a") != drawn("b")
