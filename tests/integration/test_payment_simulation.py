"""Many clients charge, capture, cancel and refund while everything fails; in the end all agrees.

`make test-faults SEED=… OPERATIONS=…` repeats a run, or makes a longer one.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from runtime.domain.payment_operations import EXPIRY_RETRY
from runtime.errors import IdempotencyInFlight, PlatformError, Unavailable
from runtime.models.change import UNKNOWN_TOO_OLD
from runtime.models.idempotency import ClaimState
from runtime.models.merchant import MerchantProfile, RateLimits
from runtime.models.payment import PaymentStatus
from runtime.models.transaction import Transaction, TransactionStatus
from runtime.services.payment_desk import PaymentDesk
from tests.support.engines import Engine
from tests.support.faults import Fault, Faults, ProcessKilled, seeded
from tests.support.ledger_world import LedgerWorld
from tests.support.payment_story import PAY, Order
from tests.support.payment_town import LOCK_SECONDS, TIMING, Client, Town
from tests.support.processors import LINE_FAULTS, BadLine, LateMail
from tests.support.world import World

HALVES = 2
"""Towns of their own, so that two workers share the operations."""
OPERATIONS = int(os.environ.get("OPERATIONS") or 800)
"""Orders under keys of their own, of all halves together."""
ENOUGH = 5_000
"""A shorter run need not meet everything that can happen."""
CLIENTS = 6
TRIES_OF_ONE_ORDER = 2
USUAL_ANSWERS = {"pay 201", "pay 402", "capture 200", "refund 200", "refund 422", "InvalidState"}
EVERY_ANSWER = USUAL_ANSWERS | {"pay 422", "capture 422", "cancel 200", "refund 402"}
FINAL = {PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELED}


def ask(town: Town, order: Order, client: Client) -> None:
    """Ask until it is answered, or leave it open after some tries."""
    for _ in range(TRIES_OF_ONE_ORDER):
        try:
            outcome = town.story.send(order, town.world, client.desk)
        except (ProcessKilled, Unavailable) as error:
            town.story.trouble(error)
            continue
        if not isinstance(outcome, IdempotencyInFlight):
            town.learn(order, outcome)
            return


def something_else(town: Town, client: Client, dice: Random) -> None:
    """Time passes, the resolver runs and may die, mail arrives that nobody waits for any more."""
    throw = dice.random()
    if throw < 0.03:
        town.world.clock.advance(dice.choice([1, 30, 90, 400]))
    elif throw < 0.05:
        town.mail.deliver(dice)
    elif throw < 0.10:
        try:
            report = town.world.resolve(client.store, client.line)
        except (ProcessKilled, Unavailable) as error:
            town.runs[type(error).__name__] += 1
        else:
            for name in ("resolved", "waiting", "over", "failed", "too_old"):
                town.runs[name] += getattr(report, name)


def run(town: Town, operations: int) -> None:
    """Every client does its share of the operations; some orders are sent again meanwhile."""

    def work(number: int) -> None:
        dice = Random(f"{town.seed}-work-{number}")
        client = town.client(f"client-{number}")
        for _ in range(-(-operations // CLIENTS)):
            ask(town, town.invent(dice), client)
            if dice.random() < 0.15:
                ask(town, dice.choice(town.story.latest(30)), client)
            something_else(town, client, dice)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))


def settle(town: Town) -> None:
    """Time passes until the resolver has nothing to do; late mail arrives before and after it."""
    dice, world = Random(f"{town.seed}-settle"), town.world
    while dice.random() < 0.8 and town.mail.deliver(dice):
        pass
    for _ in range(100):
        world.clock.advance(EXPIRY_RETRY.total_seconds() + 60)
        report = world.resolve()
        assert report.failed == 0
        if report.due == 0 and not any(row.open_bucket for row in world.payments()):
            break
    else:
        raise AssertionError("the resolver does not come to an end")
    while town.mail.deliver(dice):
        pass


def everybody_asks_again(town: Town) -> None:
    """Who was told to come back comes back, on a line that works, until there is an answer."""
    calm, waiting = town.desk(), list(town.story.orders.values())
    for _ in range(2):
        for order in waiting:
            town.story.send(order, town.world, calm)
        waiting = [order for order in waiting if town.story.must_come_back(order)]
        settle(town)


@pytest.fixture
def town(engine: Engine, dice: Random) -> Iterator[Town]:
    seed = str(dice.random())
    ledger = LedgerWorld(engine, seed, lock_seconds=LOCK_SECONDS, timing=TIMING)
    merchants = [ledger.world.merchant(index_buckets=buckets) for buckets in (1, 4)]
    limits = RateLimits(payments_per_minute=200, max_payment_amount=5 * 10**8)
    merchants.append(ledger.world.merchant(rate_limits=limits))
    ledger.open()  # the engine loses a stream of which nothing came for long
    town = Town(ledger, seed, merchants)
    logging.disable(logging.WARNING)  # thousands of expected failures
    logging.getLogger().addHandler(town.log)
    yield town
    logging.getLogger().removeHandler(town.log)
    logging.disable(logging.NOTSET)
    ledger.world.drop()


@pytest.mark.parametrize("half", range(HALVES))
def test_payments_under_faults_and_deaths_agree_with_the_processor_the_books_and_every_client(
    town: Town, half: int
) -> None:
    began = time.monotonic()
    run(town, -(-OPERATIONS // HALVES))
    ran = time.monotonic()
    town.world.must_agree()
    settle(town)
    nothing_is_open(town.world)
    everybody_asks_again(town)
    nothing_is_open(town.world)
    town.world.must_agree()
    town.story.must_be_consistent()
    told = town.story.must_be_true(town.world)
    town.ledger.poller.drain(workers=2)
    town.ledger.must_be_proved()
    report(town, told, half)
    print(f"seed {town.seed} ran {ran - began:.0f} s, checked {time.monotonic() - ran:.0f} s")


def nothing_is_open(world: World) -> None:
    """No charge, capture, void or refund without an answer, no claim without one."""
    assert {row.status for row in world.payments()} <= FINAL
    for row in world.payments():
        assert (row.open_bucket, row.lease_owner, row.closing_id) == (None, None, None), row
        assert row.pending_capture_minor == row.pending_refund_minor == 0, row
    for each in world.rows(Transaction):
        assert each.status is not TransactionStatus.PENDING, each
        assert (each.open_bucket, each.lease_owner) == (None, None), each
    assert {claim.state for claim in world.claims()} <= {ClaimState.COMPLETED}


def report(town: Town, told: Counter[str], half: int) -> None:
    """The figures; a storm that was none, or one that let nothing through, proves nothing."""
    injected = Counter(
        str(fault) for client in town.clients for _, _, fault in client.faults.injected
    )
    line: Counter[str] = Counter()
    for client in town.clients:
        line.update(client.line.injected)
    became = Counter(row.status.value for row in town.world.payments())
    story, locks = town.story, town.ledger.locks
    print(f"half {half}: {len(story.orders)} orders, sent {story.sent} times")
    print("told", dict(told), "payments", dict(became))
    print("database", sum(injected.values()), dict(injected), "conflicts", locks.conflicts)
    print("processor", sum(line.values()), dict(line), "late", dict(town.mail.delivered))
    print("resolver", dict(town.runs), "troubles", dict(story.troubles), dict(town.log.caught))
    assert set(town.log.caught) <= {"Unavailable", UNKNOWN_TOO_OLD}, "no fault of ours"
    assert len(story.orders) >= OPERATIONS / HALVES
    assert set(told) >= USUAL_ANSWERS
    assert set(became) == {status.value for status in FINAL}
    assert sum(injected.values()) > len(story.orders) / 10
    assert sum(line.values()) > len(story.orders) / 20
    assert min(sum(town.mail.delivered.values()), town.runs["resolved"], locks.conflicts) > 0
    if OPERATIONS >= ENOUGH:
        assert set(told) >= EVERY_ANSWER
        assert set(Fault) <= set(injected)
        assert set(line) == LINE_FAULTS
        assert set(town.mail.delivered) >= {"charge", "charge called off", "operate"}


@pytest.mark.parametrize("round_", range(2))
def test_one_client_alone_under_a_seeded_storm_replays_the_same_way(
    world: World, dice: Random, round_: int
) -> None:
    seed, runs = f"{dice.random()}-{round_}", []
    for _ in range(2):
        merchant = world.merchant()
        faults = Faults(seeded(seed, rate=0.2, kills=0.06))
        store = world.store_on(faults.attach(world.engine.dynamodb()), seed=1)
        mail = LateMail(world.sandbox())
        line = BadLine(world.sandbox(store), mail, seed, rate=0.2, kills=0.05)
        heard = _alone(world, merchant, world.desk(store, line), Random(seed))
        runs.append((heard, faults.injected, line.injected))
        while mail.deliver(Random(seed)):
            pass
    assert runs[0] == runs[1]
    world.resolve_until_quiet()
    world.must_agree()


def _alone(world: World, merchant: MerchantProfile, desk: PaymentDesk, own: Random) -> list[str]:
    """What one client hears that pays, captures and refunds, one after the other."""
    heard: list[str] = []
    paid: list[str] = []
    for number in range(30):
        what = own.choice([PAY, "capture", "refund", "cancel"]) if paid else PAY
        payment = own.choice(paid) if what != PAY else None
        body = {"capture_method": own.choice(["manual", "automatic"])} if what == PAY else {}
        order = Order(f"k{number}", merchant, what, payment, body)
        try:
            answer = order.send(world, desk)
        except (ProcessKilled, PlatformError) as error:
            heard.append(type(error).__name__)
            continue
        heard.append(f"{what} {answer.status}")
        if what == PAY and answer.status in (201, 202):
            paid.append(json.loads(answer.body)["id"])
    return heard
