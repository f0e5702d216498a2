"""Many clients charge, capture, cancel and refund under faults; at the end everything agrees.

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

from runtime.core.change_context import UNKNOWN_TOO_OLD
from runtime.core.errors import IdempotencyInFlight, PlatformError, Unavailable
from runtime.idempotency.models import ClaimState
from runtime.merchants.models import MerchantProfile, RateLimits
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import PaymentStatus
from runtime.payments.operations.rules import EXPIRY_RETRY
from runtime.payments.transaction_models import Transaction, TransactionStatus
from tests.support.engines.engine import Engine
from tests.support.engines.faults import Fault, Faults, ProcessKilled, seeded
from tests.support.platform import Platform
from tests.support.processors.unreliable import LINE_FAULTS, BadLine, LateMail
from tests.support.simulation.ledger import LedgerPlatform
from tests.support.simulation.payment_story import PAY, Order
from tests.support.simulation.payments import LOCK_SECONDS, TIMING, Client, PaymentSimulation

HALVES = 2
"""Separate simulations, so that two workers share the operations."""
OPERATIONS = int(os.environ.get("OPERATIONS") or 800)
"""Requests with their own keys, of all halves together."""
ENOUGH = 5_000
"""A shorter run need not meet everything that can happen."""
CLIENTS = 6
TRIES_OF_ONE_ORDER = 2
USUAL_ANSWERS = {"pay 201", "pay 402", "capture 200", "refund 200", "refund 422", "InvalidState"}
EVERY_ANSWER = USUAL_ANSWERS | {"pay 422", "capture 422", "cancel 200", "refund 402"}
FINAL = {PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELED}


def ask(simulation: PaymentSimulation, order: Order, client: Client) -> None:
    """Repeat until there is an answer, or give up after some tries."""
    for _ in range(TRIES_OF_ONE_ORDER):
        try:
            outcome = simulation.story.send(order, simulation.platform, client.deps)
        except (ProcessKilled, Unavailable) as error:
            simulation.story.operational_alerts(error)
            continue
        if not isinstance(outcome, IdempotencyInFlight):
            simulation.learn(order, outcome)
            return


def something_else(simulation: PaymentSimulation, client: Client, dice: Random) -> None:
    """Time passes, the resolver runs and may die, and delayed requests arrive at the processor."""
    throw = dice.random()
    if throw < 0.03:
        simulation.platform.clock.advance(dice.choice([1, 30, 90, 400]))
    elif throw < 0.05:
        simulation.mail.deliver(dice)
    elif throw < 0.10:
        try:
            report = simulation.platform.resolve(client.resolver, client.line)
        except (ProcessKilled, Unavailable) as error:
            simulation.runs[type(error).__name__] += 1
        else:
            for name in ("resolved", "waiting", "over", "failed", "too_old"):
                simulation.runs[name] += getattr(report, name)


def run(simulation: PaymentSimulation, operations: int) -> None:
    """Every client does its share of the operations; some requests are repeated meanwhile."""

    def work(number: int) -> None:
        dice = Random(f"{simulation.seed}-work-{number}")
        client = simulation.client(f"client-{number}")
        for _ in range(-(-operations // CLIENTS)):
            ask(simulation, simulation.invent(dice), client)
            if dice.random() < 0.15:
                ask(simulation, dice.choice(simulation.story.latest(30)), client)
            something_else(simulation, client, dice)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))


def settle(simulation: PaymentSimulation) -> None:
    """Time passes until the resolver has nothing to do; delayed requests arrive around it."""
    dice, platform = Random(f"{simulation.seed}-settle"), simulation.platform
    while dice.random() < 0.8 and simulation.mail.deliver(dice):
        pass
    for _ in range(100):
        platform.clock.advance(EXPIRY_RETRY.total_seconds() + 60)
        report = platform.resolve()
        assert report.failed == 0
        if report.due == 0 and not any(row.open_bucket for row in platform.payments()):
            break
    else:
        raise AssertionError("the resolver does not end")
    while simulation.mail.deliver(dice):
        pass


def everybody_asks_again(simulation: PaymentSimulation) -> None:
    """Open requests are repeated over a working connection until there is an answer."""
    calm, waiting = simulation.deps(), list(simulation.story.orders.values())
    for _ in range(2):
        for order in waiting:
            simulation.story.send(order, simulation.platform, calm)
        waiting = [order for order in waiting if simulation.story.must_come_back(order)]
        settle(simulation)


@pytest.fixture
def simulation(engine: Engine, dice: Random) -> Iterator[PaymentSimulation]:
    seed = str(dice.random())
    ledger = LedgerPlatform(engine, seed, lock_seconds=LOCK_SECONDS, timing=TIMING)
    merchants = [ledger.platform.merchant(index_buckets=buckets) for buckets in (1, 4)]
    limits = RateLimits(payments_per_minute=200, max_payment_amount=5 * 10**8)
    merchants.append(ledger.platform.merchant(rate_limits=limits))
    ledger.open()  # the engine loses a stream without records after a while
    simulation = PaymentSimulation(ledger, seed, merchants)
    logging.disable(logging.WARNING)  # thousands of expected failures
    logging.getLogger().addHandler(simulation.log)
    yield simulation
    logging.getLogger().removeHandler(simulation.log)
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.deep)])
def test_payments_under_faults_and_crashes_agree_with_the_processor_the_ledger_and_every_client(
    simulation: PaymentSimulation, half: int
) -> None:
    began = time.monotonic()
    run(simulation, -(-OPERATIONS // HALVES))
    ran = time.monotonic()
    simulation.platform.must_agree()
    settle(simulation)
    nothing_is_open(simulation.platform)
    everybody_asks_again(simulation)
    nothing_is_open(simulation.platform)
    simulation.platform.must_agree()
    simulation.story.must_be_consistent()
    reported = simulation.story.must_be_true(simulation.platform)
    simulation.ledger.poller.drain(workers=2)
    simulation.ledger.must_be_verified()
    report(simulation, reported, half)
    print(f"seed {simulation.seed} ran {ran - began:.0f} s, checked {time.monotonic() - ran:.0f} s")


def nothing_is_open(platform: Platform) -> None:
    """No charge, capture, void or refund without an answer, no claim without one."""
    assert {row.status for row in platform.payments()} <= FINAL
    for row in platform.payments():
        assert (row.open_bucket, row.lease_owner, row.closing_id) == (None, None, None), row
        assert row.pending_capture_minor == row.pending_refund_minor == 0, row
    for each in platform.rows(Transaction):
        assert each.status is not TransactionStatus.PENDING, each
        assert (each.open_bucket, each.lease_owner) == (None, None), each
    assert {claim.state for claim in platform.claims()} <= {ClaimState.COMPLETED}


def report(simulation: PaymentSimulation, reported: Counter[str], half: int) -> None:
    """Prints figures; a run without faults, or without any success, tests nothing."""
    injected = Counter(
        str(fault) for client in simulation.clients for _, _, fault in client.faults.injected
    )
    line: Counter[str] = Counter()
    for client in simulation.clients:
        line.update(client.line.injected)
    became = Counter(row.status.value for row in simulation.platform.payments())
    story, locks = simulation.story, simulation.ledger.locks
    print(f"half {half}: {len(story.orders)} orders, sent {story.sent} times")
    print("answered", dict(reported), "payments", dict(became))
    print("database", sum(injected.values()), dict(injected), "conflicts", locks.conflicts)
    print("processor", sum(line.values()), dict(line), "late", dict(simulation.mail.delivered))
    print(
        "resolver",
        dict(simulation.runs),
        "unanswered",
        dict(story.unanswered),
        dict(simulation.log.caught),
    )
    assert set(simulation.log.caught) <= {"Unavailable", UNKNOWN_TOO_OLD}, "no internal error"
    assert len(story.orders) >= OPERATIONS / HALVES
    assert set(reported) >= USUAL_ANSWERS
    assert set(became) == {status.value for status in FINAL}
    assert sum(injected.values()) > len(story.orders) / 10
    assert sum(line.values()) > len(story.orders) / 20
    assert (
        min(sum(simulation.mail.delivered.values()), simulation.runs["resolved"], locks.conflicts)
        > 0
    )
    if OPERATIONS >= ENOUGH:
        assert set(reported) >= EVERY_ANSWER
        assert set(Fault) <= set(injected)
        assert set(line) == LINE_FAULTS
        assert set(simulation.mail.delivered) >= {"charge", "charge called off", "operate"}


@pytest.mark.parametrize("round_", range(2))
def test_one_client_under_seeded_faults_replays_identically(
    platform: Platform, dice: Random, round_: int
) -> None:
    seed, runs = f"{dice.random()}-{round_}", []
    for _ in range(2):
        merchant = platform.merchant()
        faults = Faults(seeded(seed, rate=0.2, kills=0.06))
        store = platform.store_on(faults.attach(platform.engine.dynamodb()), seed=1)
        mail = LateMail(platform.sandbox())
        line = BadLine(platform.sandbox(store), mail, seed, rate=0.2, kills=0.05)
        heard = _alone(platform, merchant, platform.deps(store, line), Random(seed))
        runs.append((heard, faults.injected, line.injected))
        while mail.deliver(Random(seed)):
            pass
    assert runs[0] == runs[1]
    platform.resolve_until_quiet()
    platform.must_agree()


def _alone(
    platform: Platform, merchant: MerchantProfile, deps: PaymentDependencies, own: Random
) -> list[str]:
    """The answers to one client that pays, captures and refunds, one after the other."""
    heard: list[str] = []
    paid: list[str] = []
    for number in range(30):
        what = own.choice([PAY, "capture", "refund", "cancel"]) if paid else PAY
        payment = own.choice(paid) if what != PAY else None
        body = {"capture_method": own.choice(["manual", "automatic"])} if what == PAY else {}
        order = Order(f"k{number}", merchant, what, payment, body)
        try:
            answer = order.send(platform, deps)
        except (ProcessKilled, PlatformError) as error:
            heard.append(type(error).__name__)
            continue
        heard.append(f"{what} {answer.status}")
        if what == PAY and answer.status in (201, 202):
            paid.append(json.loads(answer.body)["id"])
    return heard
