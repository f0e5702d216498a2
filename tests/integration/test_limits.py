"""Payments per minute and day: never one above the limit, whoever asks, at once or again."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from runtime.contract.answers import StoredAnswer
from runtime.domain.instants import to_epoch_seconds
from runtime.domain.limits import EXACT_UP_TO, HELD_PART, KEPT, Lease, limits_of
from runtime.errors import (
    AlreadyClaimed,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    NotFound,
    RateLimited,
    Unavailable,
)
from runtime.models.idempotency import IdempotencyRecord
from runtime.models.limit import LimitCounter
from runtime.models.merchant import Merchant, MerchantProfile, RateLimits
from runtime.repositories.limits import LimitRepository
from runtime.services.limits import RateLimiter
from tests.support.fakes import START
from tests.support.faults import COMMIT, Fault, Faults, ProcessKilled, at_call, at_commit
from tests.support.http import token_of
from tests.support.stage import Stage
from tests.support.world import World, at_once

MINUTE = "minute#2026-03-14T09:00"
MANY = 2_000


@pytest.fixture
def shop(world: World) -> Callable[..., MerchantProfile]:
    def made(**limits: int) -> MerchantProfile:
        return world.merchant(rate_limits=RateLimits(**limits))

    return made


def counters(world: World) -> dict[str, int]:
    """What is used, by merchant's limit and window, without the merchant."""
    return {row.id.partition("#")[2]: row.used for row in world.rows(LimitCounter)}


def outcomes(results: list[StoredAnswer | Exception]) -> Counter[object]:
    return Counter(
        each.status if isinstance(each, StoredAnswer) else type(each) for each in results
    )


# ------------------------------------------------------------ counted one by one


def test_exactly_as_many_payments_as_allowed_pass_of_many_at_once(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=10, payments_per_day=100)
    desks = [world.desk() for _ in range(32)]
    results = at_once(*[lambda d=desk: world.pay(merchant, desk=d) for desk in desks])
    assert outcomes(results) == {201: 10, RateLimited: 22}
    assert len(world.charges()) == len(world.payments()) == 10
    assert counters(world) == {MINUTE: 10, "day#2026-03-14": 10}
    world.must_agree()


def test_a_refusal_names_limit_and_window_and_says_how_long_to_wait(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1)
    world.pay(merchant)
    world.clock.set(START + timedelta(seconds=20, milliseconds=-1))
    with pytest.raises(RateLimited, match="its 1 payments of the minute 2026-03-14T09:00") as told:
        world.pay(merchant)
    assert told.value.retry_after_seconds == 40
    assert len(world.claims()) == 1, "it is not stored: the same key may succeed later"


def test_the_next_minute_begins_anew_and_the_day_goes_on(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=2, payments_per_day=3)
    desk = world.desk()
    assert [world.pay(merchant, desk=desk).status for _ in range(2)] == [201, 201]
    with pytest.raises(RateLimited, match="minute"):
        world.pay(merchant, "k", desk=desk)
    world.clock.advance(60)
    assert world.pay(merchant, "k", desk=desk).status == 201
    with pytest.raises(RateLimited, match="3 payments of the day 2026-03-14") as told:
        world.pay(merchant, desk=desk)
    assert told.value.retry_after_seconds == 15 * 3600 - 60
    world.clock.advance(60)
    for each in (desk, world.desk()):
        with pytest.raises(RateLimited, match="day"):
            world.pay(merchant, desk=each)
    world.clock.advance(24 * 3600)
    assert world.pay(merchant, desk=desk).status == 201
    assert counters(world) == {
        MINUTE: 2,
        "minute#2026-03-14T09:01": 1,
        "day#2026-03-14": 3,
        "minute#2026-03-15T09:02": 1,
        "day#2026-03-15": 1,
    }


def test_counters_expire_some_time_after_their_window(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    world.pay(shop(payments_per_minute=5, payments_per_day=5))
    ends = {START + timedelta(minutes=1), START.replace(hour=0) + timedelta(days=1)}
    expiries = {row.expires_at for row in world.rows(LimitCounter)}
    assert expiries == {to_epoch_seconds(end + KEPT) for end in ends}


def test_a_limit_counts_a_payment_in_the_two_round_trips_of_the_sale(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    store = world.store_on(world.engine.dynamodb())
    desk = world.desk(store, processor=world.sandbox())
    for merchant in (shop(), shop(payments_per_minute=10, payments_per_day=10)):
        store.usage.restart()
        world.pay(merchant, desk=desk)
        assert store.usage.counts()["round_trips"] == 2


@pytest.mark.parametrize("limit", [1, EXACT_UP_TO + 1])
def test_a_repetition_neither_counts_nor_is_refused_when_the_limit_is_used_up(
    world: World, shop: Callable[..., MerchantProfile], limit: int
) -> None:
    merchant = shop(payments_per_minute=limit)
    first = world.pay(merchant, "k")
    declined = world.merchant(rate_limits=RateLimits(payments_per_minute=limit))
    refused = world.pay(declined, "k", payment_method="tok_declined")
    use_up(world, merchant, declined)
    before = counters(world)
    for desk in (world.desk(), world.desk()):
        for _ in range(2):
            assert world.pay(merchant, "k", desk=desk) == first.again()
            again = world.pay(declined, "k", desk=desk, payment_method="tok_declined")
            assert again == refused.again()
            with pytest.raises(RateLimited):
                world.pay(merchant, desk=desk)
            with pytest.raises(IdempotencyKeyReused):
                world.pay(merchant, "k", desk=desk, amount=7)
    assert counters(world) == before


def use_up(world: World, *merchants: MerchantProfile) -> None:
    """Nothing is left of their present minute."""
    for merchant in merchants:
        (limit,) = limits_of(merchant.id, merchant.rate_limits, world.clock())
        used = limit.payments
        world.put(LimitCounter(id=limit.counter_id, used=used, expires_at=4_000_000_000))


def test_a_repetition_does_not_count(world: World, shop: Callable[..., MerchantProfile]) -> None:
    merchant = shop(payments_per_minute=3)
    for _ in range(5):
        assert world.pay(merchant, "k").status == 201
    assert counters(world) == {MINUTE: 1}


@pytest.mark.parametrize("limit", [1, EXACT_UP_TO + 1])
def test_what_is_refused_before_it_begins_does_not_count(
    world: World, shop: Callable[..., MerchantProfile], limit: int
) -> None:
    merchant = shop(payments_per_minute=limit)
    desk = world.desk()
    for _ in range(3):
        with pytest.raises(NotFound):
            world.pay(merchant, desk=desk, customer_id="cus_unknown")
    assert world.pay(merchant, desk=desk).status == 201
    assert counters(world) == {MINUTE: 1}


@pytest.mark.parametrize("limit", [2, EXACT_UP_TO + 1])
def test_a_death_after_the_intent_counts_and_one_before_it_does_not_go_over(
    world: World, shop: Callable[..., MerchantProfile], limit: int
) -> None:
    merchant = shop(payments_per_minute=limit)
    for fault, exact in ((Fault.KILLED_BEFORE, 0), (Fault.KILLED_AFTER, 1)):
        faults = Faults(at_commit(1, fault))
        store = world.store_on(faults.attach(world.engine.dynamodb()))
        with pytest.raises(ProcessKilled):
            world.pay(merchant, f"k-{fault}", desk=world.desk(store))
        if limit <= EXACT_UP_TO:
            assert counters(world).get(MINUTE, 0) == exact
    assert counters(world)[MINUTE] <= 2
    with pytest.raises(IdempotencyInFlight):
        world.pay(merchant, f"k-{Fault.KILLED_AFTER}")
    world.resolve_until_quiet()
    assert len(world.payments()) == 1


def test_an_answer_of_the_intent_that_is_lost_counts_once(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=2)
    faults = Faults(at_commit(1, Fault.ANSWER_LOST))
    store = world.store_on(faults.attach(world.engine.dynamodb()))
    assert world.pay(merchant, desk=world.desk(store)).status == 201
    assert counters(world) == {MINUTE: 1}
    assert world.pay(merchant).status == 201


def test_a_limit_that_was_raised_is_asked_for_again_in_the_same_minute(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1)
    desk = world.desk()
    world.pay(merchant, desk=desk)
    with pytest.raises(RateLimited):
        world.pay(merchant, desk=desk)
    for limit, more in ((2, 1), (EXACT_UP_TO + 100, 5)):
        merchant = changed(world, merchant, RateLimits(payments_per_minute=limit))
        assert [world.pay(merchant, desk=desk).status for _ in range(more)] == [201] * more
    merchant = changed(world, merchant, RateLimits(payments_per_minute=3))
    with pytest.raises(RateLimited):
        world.pay(merchant, desk=world.desk())


def changed(world: World, merchant: MerchantProfile, limits: RateLimits) -> MerchantProfile:
    (row,) = (each for each in world.rows(Merchant) if each.id == merchant.id)
    after = row.model_copy(update={"rate_limits": limits, "version": row.version + 1})
    world.put(after)
    return after


def test_a_used_up_window_is_refused_without_another_write(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1)
    faults = Faults(lambda *_: None)
    desk = world.desk(world.store_on(faults.attach(world.engine.dynamodb())))
    world.pay(merchant, desk=desk)
    for _ in range(3):
        with pytest.raises(RateLimited):
            world.pay(merchant, desk=desk)
    charge, sale, first_refusal = 1, 2, 1
    assert faults.calls[COMMIT] == charge + sale + first_refusal


# ------------------------------------------------------------ leased permits


def limiter_of(world: World) -> RateLimiter:
    """A worker of its own."""
    return RateLimiter(LimitRepository(world.store), world.outside)


def take(limiter: RateLimiter, merchant: MerchantProfile, world: World) -> bool:
    try:
        with limiter.admitted(merchant, "attempt", world.clock()):
            return True
    except RateLimited:
        return False


def test_workers_grant_nearly_all_of_a_limit_and_never_more(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=MANY)
    workers = [limiter_of(world) for _ in range(8)]
    refused_at: list[int] = []
    granted, lock = itertools.count(1), threading.Lock()
    most = [0]

    def spend(worker: RateLimiter) -> None:
        for _ in range(MANY):
            if not take(worker, merchant, world):
                with lock:
                    refused_at.append(most[0])
                return
            with lock:
                most[0] = next(granted)

    at_once(*[lambda w=worker: spend(w) for worker in workers])
    assert len(refused_at) == len(workers), "each has met the end"
    assert most[0] <= MANY
    assert min(refused_at) >= MANY - MANY // HELD_PART - len(workers)
    assert counters(world) == {MINUTE: MANY}
    (counter,) = world.rows(LimitCounter)
    assert counter.held <= MANY // HELD_PART


def test_whoever_goes_idle_keeps_less_than_a_tenth_from_the_others(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    idle = [limiter_of(world) for _ in range(30)]
    granted = sum(take(worker, merchant, world) for worker in idle for _ in range(20))
    assert granted == 600
    last = limiter_of(world)
    while take(last, merchant, world):
        granted += 1
    assert 900 <= granted <= 1_000


def test_payments_by_leased_permits_pass_up_to_the_limit_and_no_further(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO + 1)
    (limit,) = limits_of(merchant.id, merchant.rate_limits, world.clock())
    world.put(LimitCounter(id=limit.counter_id, used=limit.payments - 40, expires_at=0))
    desks = [world.desk() for _ in range(4)]
    with ThreadPoolExecutor(max_workers=12) as pool:

        def pay(number: int) -> object:
            try:
                return world.pay(merchant, f"key-{number}", desk=desks[number % 4]).status
            except RateLimited:
                return RateLimited

        results = Counter(pool.map(pay, range(72)))
    assert results == {201: 40, RateLimited: 32}
    assert counters(world)[MINUTE] == limit.payments
    world.must_agree()


def test_a_warm_leased_sale_takes_two_round_trips_and_most_lease_nothing(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=MANY, payments_per_day=10 * MANY)
    store = world.store_on(world.engine.dynamodb())
    desk = world.desk(store, processor=world.sandbox())
    trips = []
    for _ in range(40):
        store.usage.restart()
        world.pay(merchant, desk=desk)
        trips.append(store.usage.counts()["round_trips"])
    assert trips[0] == 4, "the first sale leases a permit of the minute and one of the day"
    assert Counter(trips)[2] >= 32
    assert max(trips) <= 4


def test_a_window_of_leased_permits_ends_with_its_minute(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    worker = limiter_of(world)
    for _ in range(50):
        assert take(worker, merchant, world)
    leased = counters(world)[MINUTE]
    assert leased > 50
    world.clock.advance(60)
    assert take(worker, merchant, world)
    (now,) = set(counters(world)) - {MINUTE}
    assert now == "minute#2026-03-14T09:01"
    assert counters(world)[MINUTE] == leased, "nothing of the old window was spent or given back"


def test_the_pace_goes_on_into_the_next_window(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    worker = limiter_of(world)
    world.clock.set(START + timedelta(seconds=58))
    for _ in range(40):
        take(worker, merchant, world)
    world.clock.set(START + timedelta(seconds=60))
    take(worker, merchant, world)
    assert counters(world)["minute#2026-03-14T09:01"] == 40


def test_a_late_request_of_the_last_minute_is_counted_there(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    worker = limiter_of(world)
    late = world.clock()
    world.clock.advance(60)
    take(worker, merchant, world)
    with worker.admitted(merchant, "attempt", late):
        pass
    assert counters(world) == {MINUTE: 1, "minute#2026-03-14T09:01": 1}


def test_a_permit_comes_back_when_nothing_was_begun_and_only_then(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=1_000)
    world.pay(merchant, "k")
    (claim,) = world.rows(IdempotencyRecord)
    for error, comes_back in (
        (NotFound("no customer"), True),
        (AlreadyClaimed(claim), True),
        (AlreadyClaimed(claim.model_copy(update={"owner": "attempt"})), False),
        (Unavailable("busy"), False),
    ):
        worker = limiter_of(world)
        before = counters(world)[MINUTE]
        for expected in (1, 1 if comes_back else 2):
            with pytest.raises(type(error)), worker.admitted(merchant, "attempt", world.clock()):
                raise error
            assert counters(world)[MINUTE] == before + expected


def test_a_day_permit_comes_back_when_the_minute_is_used_up(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO + 1, payments_per_day=MANY)
    _, minute = limits_of(merchant.id, merchant.rate_limits, world.clock())
    used = LimitCounter(id=minute.counter_id, used=minute.payments, expires_at=0)
    world.put(used)
    worker = limiter_of(world)
    for _ in range(5):
        assert not take(worker, merchant, world)
    assert counters(world)["day#2026-03-14"] == 1
    world.clock.advance(60)
    assert take(worker, merchant, world)
    assert counters(world)["day#2026-03-14"] == 1


def test_a_lease_whose_answer_is_lost_costs_permits_and_never_goes_over(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO + 1)
    faults = Faults(at_call("UpdateItem", 3, Fault.ANSWER_LOST))
    store = world.store_on(faults.attach(world.engine.dynamodb()))
    worker = RateLimiter(LimitRepository(store), world.outside)
    granted = sum(take(worker, merchant, world) for _ in range(EXACT_UP_TO + 20))
    assert faults.injected
    assert EXACT_UP_TO - 10 <= granted < EXACT_UP_TO + 1


def test_a_counter_that_counted_one_by_one_goes_on_with_leases(
    world: World, shop: Callable[..., MerchantProfile]
) -> None:
    merchant = shop(payments_per_minute=EXACT_UP_TO)
    for _ in range(3):
        world.pay(merchant)
    (limit,) = limits_of(merchant.id, merchant.rate_limits, world.clock())
    repository = LimitRepository(world.store)
    there = LimitCounter(id=limit.counter_id, used=3, expires_at=to_epoch_seconds(limit.end + KEPT))
    assert repository.lease(limit, Lease(EXACT_UP_TO)) == there
    assert repository.lease(limit, Lease(5)) is None
    there = there.model_copy(update={"used": 8, "held": 4})
    assert repository.lease(limit, Lease(EXACT_UP_TO - 7)) == there
    assert world.rows(LimitCounter) == [there]
    world.pay(merchant)
    assert counters(world) == {MINUTE: 9}


def test_what_is_remembered_of_windows_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.services.limits.MAX_REMEMBERED", 4)
    worker = limiter_of(world)
    merchants = [world.merchant(rate_limits=RateLimits(payments_per_minute=500)) for _ in range(6)]
    for merchant in merchants:
        assert take(worker, merchant, world)
    assert len(worker._windows) == 4


def test_a_merchant_that_has_used_up_its_day_is_told_429_with_the_time_to_wait(
    stage: Stage,
) -> None:
    shop: dict[str, Any] = stage.shop(rate_limits={"payments_per_day": 1})
    who = token_of(shop["id"])
    body = {"amount": 5, "currency": "USD", "payment_method": "tok_approved"}

    def pay(key: str) -> Any:
        headers = {"idempotency-key": key}
        return stage.api("POST", "/v1/payments", body, headers=headers, authorizer=who)

    assert pay("first").status == 201
    told = pay("second")
    assert (told.status, told.body["code"]) == (429, "rate_limited")
    assert 1 <= int(told.headers["Retry-After"]) <= 24 * 3600
    assert pay("first").headers["Idempotent-Replayed"] == "true"
