"""Leased permits: nearly all of a limit is granted, and never more."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from runtime.core.errors import (
    AlreadyClaimed,
    NotFound,
    RateLimited,
    Unavailable,
)
from runtime.core.timestamps import to_epoch_seconds
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import MerchantProfile, RateLimits
from runtime.payments.rate_limits.models import LimitCounter
from runtime.payments.rate_limits.rate_limiter import RateLimiter
from runtime.payments.rate_limits.repository import LimitRepository
from runtime.payments.rate_limits.rules import (
    COUNTER_RETENTION,
    EXACT_UP_TO,
    HELD_PART,
    Lease,
    limits_of,
)
from tests.support.engines.faults import Fault, Faults, at_call
from tests.support.fakes import START
from tests.support.http import token_of
from tests.support.platform import Platform, at_once
from tests.support.rate_limit_counters import MANY, MINUTE, counters
from tests.support.stages.running_stage import Stage


@pytest.fixture
def shop(platform: Platform) -> Callable[..., MerchantProfile]:
    def made(**limits: int) -> MerchantProfile:
        return platform.merchant(rate_limits=RateLimits(**limits))

    return made


# ------------------------------------------------------------ leased permits


def limiter_of(platform: Platform) -> RateLimiter:
    """A worker of its own."""
    return RateLimiter(LimitRepository(platform.store), platform.outside)


def take(limiter: RateLimiter, merchant: MerchantProfile, platform: Platform) -> bool:
    try:
        with limiter.admitted(merchant, "attempt", platform.clock()):
            return True
    except RateLimited:
        return False


def test_workers_grant_nearly_all_of_a_limit_and_never_more(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=MANY)
    workers = [limiter_of(platform) for _ in range(8)]
    refused_at: list[int] = []
    granted, lock = itertools.count(1), threading.Lock()
    most = [0]

    def spend(worker: RateLimiter) -> None:
        for _ in range(MANY):
            if not take(worker, merchant, platform):
                with lock:
                    refused_at.append(most[0])
                return
            with lock:
                most[0] = next(granted)

    at_once(*[lambda w=worker: spend(w) for worker in workers])
    assert len(refused_at) == len(workers), "each has met the end"
    assert most[0] <= MANY
    assert min(refused_at) >= MANY - MANY // HELD_PART - len(workers)
    assert counters(platform) == {MINUTE: MANY}
    (counter,) = platform.rows(LimitCounter)
    assert counter.held <= MANY // HELD_PART


def test_an_idle_worker_keeps_less_than_a_tenth_of_the_limit(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    idle = [limiter_of(platform) for _ in range(30)]
    granted = sum(take(worker, merchant, platform) for worker in idle for _ in range(20))
    assert granted == 600
    last = limiter_of(platform)
    while take(last, merchant, platform):
        granted += 1
    assert 900 <= granted <= 1_000


def test_payments_with_leased_permits_pass_up_to_the_limit_and_no_further(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO + 1)
    (limit,) = limits_of(merchant.id, merchant.rate_limits, platform.clock())
    platform.put(LimitCounter(id=limit.counter_id, used=limit.payments - 40, expires_at=0))
    deps_list = [platform.deps() for _ in range(4)]
    with ThreadPoolExecutor(max_workers=12) as pool:

        def pay(number: int) -> object:
            try:
                return platform.pay(merchant, f"key-{number}", deps=deps_list[number % 4]).status
            except RateLimited:
                return RateLimited

        results = Counter(pool.map(pay, range(72)))
    assert results == {201: 40, RateLimited: 32}
    assert counters(platform)[MINUTE] == limit.payments
    platform.must_agree()


def test_a_warm_leased_sale_takes_two_round_trips_and_rarely_leases(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=MANY, payments_per_day=10 * MANY)
    store = platform.store_on(platform.engine.dynamodb())
    deps = platform.deps(store, processor=platform.sandbox())
    trips = []
    for _ in range(40):
        store.usage.restart()
        platform.pay(merchant, deps=deps)
        trips.append(store.usage.counts()["round_trips"])
    assert trips[0] == 4, "the first sale leases a permit of the minute and one of the day"
    assert Counter(trips)[2] >= 32
    assert max(trips) <= 4


def test_leased_permits_end_with_their_minute(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    worker = limiter_of(platform)
    for _ in range(50):
        assert take(worker, merchant, platform)
    leased = counters(platform)[MINUTE]
    assert leased > 50
    platform.clock.advance(60)
    assert take(worker, merchant, platform)
    (now,) = set(counters(platform)) - {MINUTE}
    assert now == "minute#2026-03-14T09:01"
    assert counters(platform)[MINUTE] == leased, "no permit of the old window was spent or returned"


def test_the_pace_continues_in_the_next_window(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    worker = limiter_of(platform)
    platform.clock.set(START + timedelta(seconds=58))
    for _ in range(40):
        take(worker, merchant, platform)
    platform.clock.set(START + timedelta(seconds=60))
    take(worker, merchant, platform)
    assert counters(platform)["minute#2026-03-14T09:01"] == 40


def test_a_late_request_of_the_last_minute_is_counted_there(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    worker = limiter_of(platform)
    late = platform.clock()
    platform.clock.advance(60)
    take(worker, merchant, platform)
    with worker.admitted(merchant, "attempt", late):
        pass
    assert counters(platform) == {MINUTE: 1, "minute#2026-03-14T09:01": 1}


def test_a_permit_is_returned_only_if_nothing_was_begun(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    platform.pay(merchant, "k")
    (claim,) = platform.rows(IdempotencyRecord)
    for error, comes_back in (
        (NotFound("no customer"), True),
        (AlreadyClaimed(claim), True),
        (AlreadyClaimed(claim.model_copy(update={"owner": "attempt"})), False),
        (Unavailable("busy"), False),
    ):
        worker = limiter_of(platform)
        before = counters(platform)[MINUTE]
        for expected in (1, 1 if comes_back else 2):
            with pytest.raises(type(error)), worker.admitted(merchant, "attempt", platform.clock()):
                raise error
            assert counters(platform)[MINUTE] == before + expected


def test_a_day_permit_is_returned_when_the_minute_is_exhausted(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO + 1, payments_per_day=MANY)
    _, minute = limits_of(merchant.id, merchant.rate_limits, platform.clock())
    used = LimitCounter(id=minute.counter_id, used=minute.payments, expires_at=0)
    platform.put(used)
    worker = limiter_of(platform)
    for _ in range(5):
        assert not take(worker, merchant, platform)
    assert counters(platform)["day#2026-03-14"] == 1
    platform.clock.advance(60)
    assert take(worker, merchant, platform)
    assert counters(platform)["day#2026-03-14"] == 1


def test_a_lease_with_a_lost_answer_costs_permits_and_never_exceeds_the_limit(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO + 1)
    faults = Faults(at_call("UpdateItem", 3, Fault.ANSWER_LOST))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    worker = RateLimiter(LimitRepository(store), platform.outside)
    granted = sum(take(worker, merchant, platform) for _ in range(EXACT_UP_TO + 20))
    assert faults.injected
    assert EXACT_UP_TO - 10 <= granted < EXACT_UP_TO + 1


def test_a_counter_continues_when_leases_are_enabled(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO)
    for _ in range(3):
        platform.pay(merchant)
    (limit,) = limits_of(merchant.id, merchant.rate_limits, platform.clock())
    repository = LimitRepository(platform.store)
    there = LimitCounter(
        id=limit.counter_id, used=3, expires_at=to_epoch_seconds(limit.end + COUNTER_RETENTION)
    )
    assert repository.lease(limit, Lease(EXACT_UP_TO)) == there
    assert repository.lease(limit, Lease(5)) is None
    there = there.model_copy(update={"used": 8, "held": 4})
    assert repository.lease(limit, Lease(EXACT_UP_TO - 7)) == there
    assert platform.rows(LimitCounter) == [there]
    platform.pay(merchant)
    assert counters(platform) == {MINUTE: 9}


def test_the_cache_of_windows_is_bounded(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.payments.rate_limits.rate_limiter.MAX_REMEMBERED", 4)
    worker = limiter_of(platform)
    merchants = [
        platform.merchant(rate_limits=RateLimits(payments_per_minute=500)) for _ in range(6)
    ]
    for merchant in merchants:
        assert take(worker, merchant, platform)
    assert len(worker._windows) == 4


def test_an_exhausted_daily_limit_is_429_with_the_time_to_wait(
    stage: Stage,
) -> None:
    shop: dict[str, Any] = stage.shop(rate_limits={"payments_per_day": 1})
    who = token_of(shop["id"])
    body = {"amount": 5, "currency": "USD", "payment_method": "tok_approved"}

    def pay(key: str) -> Any:
        headers = {"idempotency-key": key}
        return stage.api("POST", "/v1/payments", body, headers=headers, authorizer=who)

    assert pay("first").status == 201
    reported = pay("second")
    assert (reported.status, reported.body["code"]) == (429, "rate_limited")
    assert 1 <= int(reported.headers["Retry-After"]) <= 24 * 3600
    assert pay("first").headers["Idempotent-Replayed"] == "true"
