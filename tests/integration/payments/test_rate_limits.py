"""Payments per minute and day: never above the limit, also under concurrency and repetition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from runtime.core.errors import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    NotFound,
    RateLimited,
)
from runtime.core.timestamps import to_epoch_seconds
from runtime.http.responses import StoredAnswer
from runtime.merchants.models import Merchant, MerchantProfile, RateLimits
from runtime.payments.rate_limits.models import LimitCounter
from runtime.payments.rate_limits.rules import (
    COUNTER_RETENTION,
    EXACT_UP_TO,
    limits_of,
)
from tests.support.engines.faults import COMMIT, Fault, Faults, ProcessKilled, at_commit
from tests.support.fakes import START
from tests.support.platform import Platform, at_once
from tests.support.rate_limit_counters import MINUTE, counters


@pytest.fixture
def shop(platform: Platform) -> Callable[..., MerchantProfile]:
    def made(**limits: int) -> MerchantProfile:
        return platform.merchant(rate_limits=RateLimits(**limits))

    return made


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
