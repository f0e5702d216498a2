"""What is remembered is bounded in time and number, and holds when several threads use it."""

from __future__ import annotations

import sys
import threading

from runtime.core.ttl_cache import TtlCache
from tests.support.outside import outside


def test_a_value_is_known_for_so_long_and_the_longest_known_is_forgotten_first() -> None:
    clock = [0.0]
    known: TtlCache[str, int] = TtlCache(5.0, 2, outside(monotonic=lambda: clock[0]))
    assert known.get("a") is None
    assert known.keep("a", 1) == 1
    clock[0] = 4.9
    assert known.get("a") == 1
    clock[0] = 5.0
    assert known.get("a") is None
    known.keep("b", 2)
    known.keep("a", 3)
    known.keep("c", 4)
    assert [known.get(each) for each in "abc"] == [3, None, 4]


def test_threads_that_push_each_others_values_out_do_not_disturb_each_other() -> None:
    known: TtlCache[int, int] = TtlCache(60.0, 2, outside(monotonic=lambda: 0.0))
    troubles: list[Exception] = []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 3_000):
                assert known.keep(number, number) == number
                assert known.get(number) in (number, None)
        except Exception as operational_alerts:  # noqa: BLE001 - it is what the test looks for
            troubles.append(operational_alerts)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(n * 10_000,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert troubles == []
