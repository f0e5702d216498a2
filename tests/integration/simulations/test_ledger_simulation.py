"""Many clients move the money of a few accounts under faults; at the end everything agrees.

`make test-faults SEED=… OPERATIONS=…` repeats a run, or makes a longer one.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from runtime.core.errors import PlatformError, Unavailable
from tests.support.engines.choice import CHOSEN, engine_named
from tests.support.engines.faults import Fault, ProcessKilled, beginning_with
from tests.support.engines.streams import STORMY
from tests.support.oracles.ledger import Story
from tests.support.simulation.ledger import LedgerClient, LedgerPlatform, Order

CLIENTS = 16
OPERATIONS = int(os.environ.get("OPERATIONS") or 400)
"""Of all clients together, on each engine."""
FAULT_RATE, KILL_RATE = 0.04, 0.01
PATIENCE = 12
LOCK_SECONDS = 0.002
TRIES_OF_ONE_ORDER = 3


AWS_ENGINE = "dynamodb-local"
EXTRA = [] if AWS_ENGINE in CHOSEN else [pytest.param(AWS_ENGINE, marks=pytest.mark.deep)]
"""`make test-deep` runs it on AWS's own engine, too: it takes half a minute there."""


@pytest.fixture(params=[*EXTRA, *CHOSEN])
def ledger(request: pytest.FixtureRequest, dice: Random) -> Iterator[LedgerPlatform]:
    ledger = LedgerPlatform(
        engine_named(request.param, request),
        seed=str(dice.random()),
        stream_faults=STORMY,
        projector_faults=0.03,
        lock_seconds=LOCK_SECONDS,
    )
    logging.disable(logging.CRITICAL)  # thousands of expected failures
    yield ledger
    logging.disable(logging.NOTSET)
    ledger.platform.drop()


@dataclass
class LedgerSimulation:
    """Ten accounts, and all requests."""

    ledger: LedgerPlatform
    immediate: list[str]
    folded: list[str]
    foreign: list[str]
    orders: list[Order] = field(default_factory=list)
    holds: list[tuple[str, int, int]] = field(default_factory=list)
    """(id, amount, legs) of each hold that a client has received."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def built(cls, ledger: LedgerPlatform) -> LedgerSimulation:
        """Six accounts that change at once, two hot ones, two of another currency."""
        openings = (500_000, 100_000, 20_000, 5_000, 0)
        immediate = [ledger.open(opening=opening) for opening in openings]
        immediate.append(ledger.open(credit=10_000))
        folded = [ledger.open(folded=True), ledger.open(opening=50_000, folded=True)]
        foreign = [ledger.open("JPY", 30_000), ledger.open("JPY")]
        return cls(ledger, immediate, folded, foreign)

    def invent(self, dice: Random) -> Order:
        """A client's next request; half of all money goes through the hot account."""
        throw = dice.random()
        with self.lock:
            holds, orders = self.holds, self.orders
            if throw < 0.30 and holds:
                order = self._end_of(dice.choice(holds[-40:]), dice)
            elif throw < 0.36 and orders:
                order = dice.choice(orders[-60:])  # a repetition, possibly concurrent
            else:
                order = self._beginning(dice)
            self.orders.append(order)
        return order

    def _end_of(self, hold: tuple[str, int, int], dice: Random) -> Order:
        hold_id, amount, legs = hold
        part = dice.choice([None, None, amount, dice.randrange(1, amount + 3)])
        if legs > 1:
            part = dice.choice([None, amount])
        if dice.random() < 0.55:
            return self.ledger.post_order(hold_id, part)
        return self.ledger.cancel_order(hold_id)

    def _beginning(self, dice: Random) -> Order:
        more: dict[str, Any] = {}
        if dice.random() < 0.4:
            more = {"hold": True, "expires_in_seconds": dice.choice([5, 60, 86_400])}
        elif dice.random() < 0.08:
            more = {"expand": ["balances_after"]}
        if dice.random() < 0.05:
            more["currency"] = "JPY"
            return self.ledger.order(*self.foreign, dice.randrange(1, 3_000), **more)
        if dice.random() < 0.2:
            legs = [self._leg(dice) for _ in range(dice.randrange(2, 6))]
            return self.ledger.order(legs=legs, **more)
        leg = self._leg(dice)
        return self.ledger.order(
            leg["from_account_id"], leg["to_account_id"], leg["amount"], **more
        )

    def _leg(self, dice: Random) -> dict[str, Any]:
        hot = self.folded[0]
        everybody = [*self.immediate, *self.folded, self.foreign[0]]
        weights = [10] * len(self.immediate) + [4, 3, 0.3]
        (source,) = dice.choices(everybody, weights)
        others = [account for account in everybody if account != source]
        target = hot if dice.random() < 0.5 and source != hot else dice.choice(others[:-1])
        return {
            "from_account_id": source,
            "to_account_id": target,
            "amount": dice.choice([dice.randrange(1, 500), dice.randrange(1, 20_000)]),
        }

    def learn(self, order: Order, answer: Any) -> None:
        """A hold that any client may post or cancel from now on."""
        if answer.status != 201 or not order.body.get("hold") or answer.replayed:
            return
        document = json.loads(answer.body)
        with self.lock:
            self.holds.append((document["id"], document["amount"], len(document["legs"])))


def ask(simulation: LedgerSimulation, order: Order, client: LedgerClient, story: Story) -> None:
    """Repeat until there is an answer, or give up after some tries."""
    for _ in range(TRIES_OF_ONE_ORDER):
        try:
            answer = client.send(order)
        except (ProcessKilled, Unavailable) as error:
            story.operational_alerts(error)
        except PlatformError as refusal:
            story.operational_alerts(refusal)
            return
        else:
            story.note(order, answer)
            simulation.learn(order, answer)
            return


def _something_else(
    simulation: LedgerSimulation, client: LedgerClient, dice: Random, story: Story
) -> None:
    """Time passes, holds expire, an account is closed to transfers for a moment."""
    throw = dice.random()
    try:
        if throw < 0.02:
            simulation.ledger.platform.clock.advance(dice.choice([1, 10, 100]))
        elif throw < 0.03:
            client.expire()
        elif throw < 0.036:
            account = dice.choice(simulation.immediate)
            client.set_active(account, False)
            simulation.ledger.calm.set_active(account, True)
    except (ProcessKilled, PlatformError) as error:
        story.operational_alerts(error)


def run(
    simulation: LedgerSimulation, story: Story, clients: list[LedgerClient], operations: int
) -> None:
    def work(number: int) -> None:
        dice = Random(f"{simulation.ledger.seed}-work-{number}")
        for _ in range(operations):
            ask(simulation, simulation.invent(dice), clients[number], story)
            _something_else(simulation, clients[number], dice, story)

    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(work, range(len(clients))))


def settle(simulation: LedgerSimulation, story: Story) -> None:
    """Open requests are repeated over a working connection; and time ends all holds."""
    for account in simulation.immediate:
        simulation.ledger.calm.set_active(account, True)
    for order in {order.key: order for order in simulation.orders}.values():
        ask(simulation, order, simulation.ledger.calm, story)
    simulation.ledger.platform.clock.advance(3_600)
    report = simulation.ledger.calm.expire()
    assert (report.failed, report.finished) == (0, True)


def test_sixteen_clients_under_faults_and_crashes_lose_nothing_and_apply_each_request_once(
    ledger: LedgerPlatform,
) -> None:
    simulation, story = LedgerSimulation.built(ledger), Story()
    clients = [
        ledger.client(f"client-{n}", FAULT_RATE, KILL_RATE, PATIENCE) for n in range(CLIENTS)
    ]
    # Each kind once for certain: of some there are only two or three in a run by chance.
    for client, fault in zip(clients, Fault, strict=False):
        assert client.faults is not None
        client.faults.plan = beginning_with(fault, client.faults.plan)
    with ledger.poller.running(workers=2):
        run(simulation, story, clients, -(-OPERATIONS // CLIENTS))
    settle(simulation, story)
    books = ledger.must_balance(story, simulation.orders)
    faults = [fault for client in clients if client.faults for fault in client.faults.injected]
    injected = Counter(fault for _, _, fault in faults)
    reported = Counter(answers[0].status for answers in story.reported.values() if answers)
    became = Counter(row.status.value for row in books.transfers.values())
    print(dict(reported), dict(became), dict(story.unanswered), dict(injected))
    locks = ledger.locks
    print(Counter(ledger.poller.injected), locks.commits, locks.conflicts, locks.plain_conflicts)
    # A run without faults, or one in which everything is refused, would not test anything.
    assert set(Fault) <= set(injected)
    assert min(became[each] for each in ("processed", "failed", "canceled", "expired")) > 0
    assert min(reported[201], reported[200], reported[422]) > 0
    assert locks.conflicts > 0
    assert set(ledger.poller.injected) == {"doubled", "late", "repeated", "rewound", "killed"}
