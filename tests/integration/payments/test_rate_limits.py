"""Payments per minute and day: never above the limit, also under concurrency and repetition."""

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
    IdempotencyInFlight,
    IdempotencyKeyReused,
    NotFound,
    RateLimited,
    Unavailable,
)
from runtime.core.timestamps import to_epoch_seconds
from runtime.http.responses import StoredAnswer
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import Merchant, MerchantProfile, RateLimits
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
from tests.support.engines.faults import COMMIT, Fault, Faults, ProcessKilled, at_call, at_commit
from tests.support.fakes import START
from tests.support.http import token_of
from tests.support.platform import Platform, at_once
from tests.support.stages.running_stage import Stage

MINUTE = "minute#2026-03-14T09:00"
MANY = 2_000


@pytest.fixture
def shop(platform: Platform) -> Callable[..., MerchantProfile]:
    def made(**limits: int) -> MerchantProfile:
        return platform.merchant(rate_limits=RateLimits(**limits))

    return made


def counters(platform: Platform) -> dict[str, int]:
    """Used permits by the merchant's limit and window, without the merchant."""
    return {row.id.partition("#")[2]: row.used for row in platform.rows(LimitCounter)}


def outcomes(results: list[StoredAnswer | Exception]) -> Counter[object]:
    return Counter(
        each.status if isinstance(each, StoredAnswer) else type(each) for each in results
    )


# ------------------------------------------------------------ counted one by one


def test_of_many_concurrent_payments_exactly_the_limit_pass(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=10, payments_per_day=100)
    deps_list = [platform.deps() for _ in range(32)]
    results = at_once(*[lambda d=deps: platform.pay(merchant, deps=d) for deps in deps_list])
    assert outcomes(results) == {201: 10, RateLimited: 22}
    assert len(platform.charges()) == len(platform.payments()) == 10
    assert counters(platform) == {MINUTE: 10, "day#2026-03-14": 10}
    platform.must_agree()


def test_a_refusal_names_the_limit_and_window_and_the_time_to_wait(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1)
    platform.pay(merchant)
    platform.clock.set(START + timedelta(seconds=20, milliseconds=-1))
    with pytest.raises(
        RateLimited, match="its limit of 1 payments for the minute 2026-03-14T09:00"
    ) as reported:
        platform.pay(merchant)
    assert reported.value.retry_after_seconds == 40
    assert len(platform.claims()) == 1, "the refusal is not stored: the same key may succeed later"


def test_a_new_minute_starts_at_zero_and_the_day_continues(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=2, payments_per_day=3)
    deps = platform.deps()
    assert [platform.pay(merchant, deps=deps).status for _ in range(2)] == [201, 201]
    with pytest.raises(RateLimited, match="minute"):
        platform.pay(merchant, "k", deps=deps)
    platform.clock.advance(60)
    assert platform.pay(merchant, "k", deps=deps).status == 201
    with pytest.raises(RateLimited, match="3 payments for the day 2026-03-14") as reported:
        platform.pay(merchant, deps=deps)
    assert reported.value.retry_after_seconds == 15 * 3600 - 60
    platform.clock.advance(60)
    for each in (deps, platform.deps()):
        with pytest.raises(RateLimited, match="day"):
            platform.pay(merchant, deps=each)
    platform.clock.advance(24 * 3600)
    assert platform.pay(merchant, deps=deps).status == 201
    assert counters(platform) == {
        MINUTE: 2,
        "minute#2026-03-14T09:01": 1,
        "day#2026-03-14": 3,
        "minute#2026-03-15T09:02": 1,
        "day#2026-03-15": 1,
    }


def test_counters_expire_some_time_after_their_window(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    platform.pay(shop(payments_per_minute=5, payments_per_day=5))
    ends = {START + timedelta(minutes=1), START.replace(hour=0) + timedelta(days=1)}
    expiries = {row.expires_at for row in platform.rows(LimitCounter)}
    assert expiries == {to_epoch_seconds(end + COUNTER_RETENTION) for end in ends}


def test_a_limit_is_counted_in_the_two_round_trips_of_the_sale(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    store = platform.store_on(platform.engine.dynamodb())
    deps = platform.deps(store, processor=platform.sandbox())
    for merchant in (shop(), shop(payments_per_minute=10, payments_per_day=10)):
        store.usage.restart()
        platform.pay(merchant, deps=deps)
        assert store.usage.counts()["round_trips"] == 2


@pytest.mark.parametrize("limit", [1, EXACT_UP_TO + 1])
def test_a_repetition_neither_counts_nor_is_refused_at_an_exhausted_limit(
    platform: Platform, shop: Callable[..., MerchantProfile], limit: int
) -> None:
    merchant = shop(payments_per_minute=limit)
    first = platform.pay(merchant, "k")
    declined = platform.merchant(rate_limits=RateLimits(payments_per_minute=limit))
    refused = platform.pay(declined, "k", payment_method="tok_declined")
    use_up(platform, merchant, declined)
    before = counters(platform)
    for deps in (platform.deps(), platform.deps()):
        for _ in range(2):
            assert platform.pay(merchant, "k", deps=deps) == first.again()
            again = platform.pay(declined, "k", deps=deps, payment_method="tok_declined")
            assert again == refused.again()
            with pytest.raises(RateLimited):
                platform.pay(merchant, deps=deps)
            with pytest.raises(IdempotencyKeyReused):
                platform.pay(merchant, "k", deps=deps, amount=7)
    assert counters(platform) == before


def use_up(platform: Platform, *merchants: MerchantProfile) -> None:
    """The current minute is exhausted."""
    for merchant in merchants:
        (limit,) = limits_of(merchant.id, merchant.rate_limits, platform.clock())
        used = limit.payments
        platform.put(LimitCounter(id=limit.counter_id, used=used, expires_at=4_000_000_000))


def test_a_repetition_does_not_count(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=3)
    for _ in range(5):
        assert platform.pay(merchant, "k").status == 201
    assert counters(platform) == {MINUTE: 1}


@pytest.mark.parametrize("limit", [1, EXACT_UP_TO + 1])
def test_a_payment_refused_before_it_begins_does_not_count(
    platform: Platform, shop: Callable[..., MerchantProfile], limit: int
) -> None:
    merchant = shop(payments_per_minute=limit)
    deps = platform.deps()
    for _ in range(3):
        with pytest.raises(NotFound):
            platform.pay(merchant, deps=deps, customer_id="cus_unknown")
    assert platform.pay(merchant, deps=deps).status == 201
    assert counters(platform) == {MINUTE: 1}


@pytest.mark.parametrize("limit", [2, EXACT_UP_TO + 1])
def test_a_crash_after_the_intent_counts_and_the_limit_is_never_exceeded(
    platform: Platform, shop: Callable[..., MerchantProfile], limit: int
) -> None:
    merchant = shop(payments_per_minute=limit)
    for fault, exact in ((Fault.KILLED_BEFORE, 0), (Fault.KILLED_AFTER, 1)):
        faults = Faults(at_commit(1, fault))
        store = platform.store_on(faults.attach(platform.engine.dynamodb()))
        with pytest.raises(ProcessKilled):
            platform.pay(merchant, f"k-{fault}", deps=platform.deps(store))
        if limit <= EXACT_UP_TO:
            assert counters(platform).get(MINUTE, 0) == exact
    assert counters(platform)[MINUTE] <= 2
    with pytest.raises(IdempotencyInFlight):
        platform.pay(merchant, f"k-{Fault.KILLED_AFTER}")
    platform.resolve_until_quiet()
    assert len(platform.payments()) == 1


def test_an_intent_with_a_lost_answer_counts_once(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=2)
    faults = Faults(at_commit(1, Fault.ANSWER_LOST))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    assert platform.pay(merchant, deps=platform.deps(store)).status == 201
    assert counters(platform) == {MINUTE: 1}
    assert platform.pay(merchant).status == 201


def test_a_raised_limit_takes_effect_in_the_same_minute(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1)
    deps = platform.deps()
    platform.pay(merchant, deps=deps)
    with pytest.raises(RateLimited):
        platform.pay(merchant, deps=deps)
    for limit, more in ((2, 1), (EXACT_UP_TO + 100, 5)):
        merchant = changed(platform, merchant, RateLimits(payments_per_minute=limit))
        assert [platform.pay(merchant, deps=deps).status for _ in range(more)] == [201] * more
    merchant = changed(platform, merchant, RateLimits(payments_per_minute=3))
    with pytest.raises(RateLimited):
        platform.pay(merchant, deps=platform.deps())


def changed(platform: Platform, merchant: MerchantProfile, limits: RateLimits) -> MerchantProfile:
    (row,) = (each for each in platform.rows(Merchant) if each.id == merchant.id)
    after = row.model_copy(update={"rate_limits": limits, "version": row.version + 1})
    platform.put(after)
    return after


def test_an_exhausted_window_is_refused_without_another_write(
    platform: Platform, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1)
    faults = Faults(lambda *_: None)
    deps = platform.deps(platform.store_on(faults.attach(platform.engine.dynamodb())))
    platform.pay(merchant, deps=deps)
    for _ in range(3):
        with pytest.raises(RateLimited):
            platform.pay(merchant, deps=deps)
    charge, sale, first_refusal = 1, 2, 1
    assert faults.calls[COMMIT] == charge + sale + first_refusal


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
