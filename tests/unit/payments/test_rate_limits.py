"""Windows in UTC, refusals with the time to wait, and leases that never exceed their limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.merchants.models import RateLimits
from runtime.payments.rate_limits.models import LimitCounter
from runtime.payments.rate_limits.rules import (
    EXACT_UP_TO,
    GROWTH,
    HELD_PART,
    LEASES_PER_LIMIT,
    RECENT_SECONDS,
    Lease,
    Limit,
    Pace,
    Span,
    counted_exactly,
    limits_of,
    rate_limited,
)

NOW = datetime(2026, 11, 26, 11, 3, 20, 500_000, tzinfo=UTC)


def limits(now: datetime = NOW, **rates: Any) -> tuple[Limit, ...]:
    return limits_of("mer_x", RateLimits(**rates), now)


# ------------------------------------------------------------ windows


def test_a_window_is_identified_by_its_minute_or_day_in_utc() -> None:
    day, minute = limits(payments_per_minute=1, payments_per_day=2)
    assert (day.counter_id, minute.counter_id) == (
        "mer_x#day#2026-11-26",
        "mer_x#minute#2026-11-26T11:03",
    )
    assert (day.payments, minute.payments) == (2, 1)
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-12)))
    assert limits(elsewhere, payments_per_minute=1, payments_per_day=2) == (day, minute)


def test_windows_follow_each_other_without_a_gap() -> None:
    for span, rates in (
        (Span.MINUTE, {"payments_per_minute": 1}),
        (Span.DAY, {"payments_per_day": 1}),
    ):
        (one,) = limits(**rates)
        (last,) = limits(one.end - timedelta(microseconds=1), **rates)
        (next_one,) = limits(one.end, **rates)
        assert one == last
        assert (next_one.span, next_one.start) == (span, one.end)


def test_a_merchant_without_limits_has_no_windows() -> None:
    assert limits(max_payment_amount=5) == ()


@pytest.mark.parametrize(
    ("rates", "exactly"),
    [
        ({"payments_per_minute": EXACT_UP_TO}, True),
        ({"payments_per_minute": EXACT_UP_TO + 1}, False),
        ({"payments_per_day": EXACT_UP_TO}, True),
        ({"payments_per_minute": 10**6, "payments_per_day": EXACT_UP_TO}, True),
        ({"payments_per_minute": EXACT_UP_TO, "payments_per_day": 10**6}, True),
        ({"payments_per_minute": EXACT_UP_TO + 1, "payments_per_day": 10**6}, False),
    ],
)
def test_the_smaller_limit_decides_whether_each_payment_is_counted_separately(
    rates: dict[str, int], *, exactly: bool
) -> None:
    assert counted_exactly(limits(**rates)) is exactly


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (NOW, 40),
        (NOW.replace(second=0, microsecond=0), 60),
        (NOW.replace(second=59, microsecond=0), 1),
        (NOW.replace(second=59, microsecond=999_999), 1),
        (NOW + timedelta(minutes=5), 1),
    ],
)
def test_a_refused_payment_waits_whole_seconds_until_the_window_ends(
    now: datetime, seconds: int
) -> None:
    (minute,) = limits(payments_per_minute=7)
    refusal = rate_limited(minute, now)
    assert refusal.retry_after_seconds == seconds
    assert "its limit of 7 payments for the minute 2026-11-26T11:03" in refusal.detail


# ------------------------------------------------------------ leases


def test_a_worker_leases_what_it_has_spent_in_the_last_seconds() -> None:
    pace = Pace(last_lease=100)
    assert pace.next_lease(10**6, NOW) == 1, "nothing was spent yet"
    for second in range(20):
        for _ in range(3):
            pace.spend(NOW + timedelta(seconds=second))
    now = NOW + timedelta(seconds=19)
    assert pace.next_lease(10**6, now) == 3 * RECENT_SECONDS
    assert pace.next_lease(10**6, now + timedelta(seconds=RECENT_SECONDS - 1)) == 3
    assert pace.next_lease(10**6, now + timedelta(seconds=RECENT_SECONDS)) == 1
    assert pace.next_lease(100, now) == 100 // LEASES_PER_LIMIT
    pace.last_lease = 2
    assert pace.next_lease(10**6, now) == 2 * GROWTH


def test_a_clock_that_steps_back_makes_leases_small_and_the_cache_no_larger() -> None:
    pace = Pace(last_lease=100)
    for second in range(100, 0, -1):
        pace.spend(NOW + timedelta(seconds=second))
    assert pace.next_lease(10**6, NOW) == 1
    assert len(pace._spent) <= RECENT_SECONDS


def test_a_single_permit_can_be_leased_whatever_others_hold() -> None:
    counter = LimitCounter(id="c", used=999, held=900, expires_at=0)
    lease = Lease(50).fitting(counter, 1000)
    assert lease == Lease(1)
    assert lease.max_held(1000) is None
    assert Lease(50).fitting(counter, 999) is None


class Counter:
    """A window's counter that leases under the same conditions as DynamoDB."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used, self.held = limit, 0, 0

    def lease(self, lease: Lease) -> bool:
        max_held = lease.max_held(self.limit)
        if self.used > lease.max_used(self.limit):
            return False
        if max_held is not None and self.held > max_held:
            return False
        self.used += lease.size
        self.held += lease.held
        return True


class Worker:
    """Spends cached permits, as payments/rate_limits/rate_limiter.py does."""

    def __init__(self, counter: Counter) -> None:
        self.counter, self.permits, self.leased = counter, 0, 0

    def spend(self, wanted: int) -> bool:
        if self.permits == 0:
            lease = Lease(wanted, self.leased)
            if not self.counter.lease(lease):
                there = LimitCounter(
                    id="c", used=self.counter.used, held=self.counter.held, expires_at=0
                )
                fitting = lease.fitting(there, self.counter.limit)
                if fitting is None:
                    return False
                assert fitting.size <= max(1, lease.size)
                assert self.counter.lease(fitting), "a lease that fits is granted"
                lease = fitting
            self.permits = self.leased = lease.size
        self.permits -= 1
        return True


@given(
    limit=st.integers(EXACT_UP_TO + 1, 2_000),
    workers=st.integers(1, 60),
    steps=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 100)), max_size=400),
    last=st.integers(0, 59),
)
def test_leases_never_exceed_the_limit_and_never_refuse_before_nine_tenths_of_it(
    limit: int, workers: int, steps: list[tuple[int, int]], last: int
) -> None:
    counter = Counter(limit)
    crowd = [Worker(counter) for _ in range(workers)]
    most = limit // LEASES_PER_LIMIT
    granted = sum(crowd[who % workers].spend(min(size, most)) for who, size in steps)
    assert sum(worker.permits for worker in crowd) <= counter.held <= limit // HELD_PART
    while crowd[last % workers].spend(most):
        granted += 1
    assert limit - limit // HELD_PART <= granted <= counter.used == limit
    for worker in crowd:
        while worker.spend(1):
            granted += 1
    assert granted == limit
