"""Cached values are limited in time and number, also under concurrent use."""

from __future__ import annotations

import sys
import threading

from runtime.core.cache import Cache
from tests.support.outside import outside


def test_a_value_expires_after_its_time_unless_it_is_kept_again() -> None:
    clock = [0.0]
    known: Cache[str, int] = Cache(2, outside(monotonic=lambda: clock[0]), seconds=5.0)
    assert known.get("a") is None
    assert known.keep("a", 1) == 1
    clock[0] = 4.9
    assert known.get("a") == 1
    clock[0] = 5.0
    assert known.get("a") is None
    assert len(known) == 0, "an expired value does not stay in memory"
    known.keep("a", 2)
    clock[0] = 9.9
    assert known.get("a") == 2


def test_without_a_time_to_live_a_value_stays() -> None:
    clock = [0.0]
    known: Cache[str, int] = Cache(2, outside(monotonic=lambda: clock[0]))
    known.keep("a", 0)
    clock[0] = 1e9
    assert known.get("a") == 0


def test_the_least_recently_used_value_is_evicted() -> None:
    known: Cache[str, int] = Cache(2, outside())
    known.keep("a", 1)
    known.keep("b", 2)
    assert known.get("a") == 1
    known.keep("c", 3)
    assert [known.get(each) for each in "abc"] == [1, None, 3]
    known.keep("a", 4)
    known.keep("d", 5)
    assert [known.get(each) for each in "acd"] == [4, None, 5]
    assert len(known) == 2


def test_values_with_matching_keys_are_removed() -> None:
    known: Cache[tuple[str, int], str] = Cache(9, outside())
    for number in range(3):
        known.keep(("x", number), "of x")
        known.keep(("y", number), "of y")
    known.forget(lambda key: key[0] == "x")
    assert [known.get(("x", number)) for number in range(3)] == [None] * 3
    assert [known.get(("y", number)) for number in range(3)] == ["of y"] * 3


def test_what_is_cached_is_not_in_the_repr() -> None:
    known: Cache[str, str] = Cache(9, outside())
    known.keep("key-text", "secret-text")
    assert "-text" not in f"{known!r} {known}"


def test_concurrent_evictions_do_not_raise() -> None:
    known: Cache[int, int] = Cache(2, outside(monotonic=lambda: 0.0), seconds=60.0)
    errors: list[Exception] = []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 3_000):
                assert known.keep(number, number) == number
                assert known.get(number) in (number, None)
        except Exception as operational_alerts:  # noqa: BLE001 - it is what the test looks for
            errors.append(operational_alerts)

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
    assert errors == []
