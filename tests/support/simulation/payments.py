"""Merchants and clients with unreliable connections, to the platform and to the processor."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from runtime.core.errors import PlatformError
from runtime.dynamodb.store import Store
from runtime.http.responses import StoredAnswer
from runtime.merchants.models import MerchantProfile
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.processors.sandbox.connector import BEHAVIOURS
from runtime.settings import PaymentTiming
from tests.support.engines.faults import Faults, seeded
from tests.support.platform import Platform
from tests.support.processors.unreliable import BadLine, LateMail
from tests.support.simulation.ledger import LedgerPlatform
from tests.support.simulation.payment_story import PAY, Order, Story

FAULT_RATE, KILL_RATE = 0.05, 0.01
LINE_RATE, LINE_KILLS = 0.25, 0.05
PATIENCE = 12
LOCK_SECONDS = 0.002
TOKENS = [token for token in BEHAVIOURS if token != "tok_slow"]
REQUESTS_PER_RUN = 64
"""A run of the resolver makes about as many calls as so many requests: it reads 256 shards."""
HOT = 12
"""Payments that receive most operations, from any client."""
TIMING = PaymentTiming(
    tables={},
    stage="test",
    service="test",
    authorization_seconds=1_800,
    unknown_too_old_seconds=3_600,
)


@dataclass
class Client:
    """A client's worker: its own unreliable connections to the platform and the processor."""

    faults: Faults
    line: BadLine
    deps: PaymentDependencies
    resolver: Store
    """Of its runs of the resolver: fewer faults, because one run makes hundreds of calls."""


class Log(logging.Handler):
    """Errors that the runtime has caught and logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.caught: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.caught[type(error).__name__ if error else record.getMessage()] += 1


@dataclass(frozen=True)
class Paid:
    """A payment, charged or authorized, that a client has received."""

    merchant: MerchantProfile
    payment_id: str
    amount: int
    manual: bool


@dataclass
class PaymentSimulation:
    """Merchants, their payments, and all faults."""

    ledger: LedgerPlatform
    seed: str
    merchants: list[MerchantProfile]
    story: Story = field(default_factory=Story)
    payments: list[Paid] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)
    log: Log = field(default_factory=Log)
    mail: LateMail = field(init=False)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.mail = LateMail(self.platform.sandbox())

    @property
    def platform(self) -> Platform:
        return self.ledger.platform

    def client(self, name: str) -> Client:
        """A worker whose faults all come from its own seed."""
        seed = f"{self.seed}-{name}"
        faults = Faults(seeded(seed, FAULT_RATE, KILL_RATE, kill_anywhere=True))
        fewer = [rate / REQUESTS_PER_RUN for rate in (FAULT_RATE, KILL_RATE)]
        in_runs = Faults(seeded(f"{seed}-resolver", *fewer, kill_anywhere=True))
        store = self._store(faults, seed)
        line = BadLine(
            self.platform.sandbox(store), self.mail, seed, LINE_RATE, LINE_KILLS, self.overtake
        )
        client = Client(faults, line, self.deps(store, line), self._store(in_runs, seed))
        self.clients.append(client)
        return client

    def _store(self, faults: Faults, seed: str) -> Store:
        dice = Random(f"{seed}-patience")
        return self.platform.store_on(
            self.ledger.locks.attach(faults.attach(self.platform.engine.dynamodb())),
            remaining_seconds=lambda: 0.0 if dice.random() < 1 / PATIENCE else 60.0,
            sleep=lambda seconds: time.sleep(min(seconds, 0.02)),
            seed=len(seed),
        )

    def deps(self, store: Store | None = None, line: BadLine | None = None) -> PaymentDependencies:
        """Payment dependencies; merchants do not change, so they are cached for good."""
        return replace(self.platform.deps(store, line), merchants=self.ledger.profiles)

    def overtake(self) -> None:
        """Every lease expires, and the resolver processes what it finds."""
        self.platform.clock.advance(TIMING.intent_lease_seconds + 30)
        self.runs["resolved"] += self.platform.resolve().resolved

    # ------------------------------------------------------------ requests

    def invent(self, dice: Random) -> Order:
        """A new payment, or an operation on a recent one."""
        throw = dice.random()
        with self.lock:
            known = self.payments[-HOT:]
            key = f"key-{next(self.numbers)}"
        if throw < 0.62 and known:
            return self._about(key, dice.choice(known), dice)
        return self._payment(key, dice)

    def _payment(self, key: str, dice: Random) -> Order:
        token = dice.choice([*TOKENS, *["tok_approved"] * len(TOKENS)])
        body: dict[str, Any] = {
            "amount": dice.choice([dice.randrange(1, 100), dice.randrange(1, 10**9)]),
            "currency": dice.choice(["USD", "JPY", "KWD"]),
            "payment_method": token,
        }
        if dice.random() < 0.6:
            body["capture_method"] = "manual"
        return Order(key, dice.choice(self.merchants), PAY, None, body)

    def _about(self, key: str, paid: Paid, dice: Random) -> Order:
        what, body = "refund", {}
        if paid.manual:
            (what,) = dice.choices(["capture", "refund", "cancel"], [12, 7, 3])
        if what != "cancel" and dice.random() < 0.85:
            part = max(1, paid.amount // dice.choice([2, 3, 5, 10]))
            body["amount"] = part + (dice.random() < 0.15) * paid.amount
        if what == "capture" and dice.random() < 0.85:
            body["final"] = False
        return Order(key, paid.merchant, what, paid.payment_id, body)

    def learn(self, order: Order, outcome: StoredAnswer | PlatformError) -> None:
        """A payment that any client may operate on from now on."""
        if order.payment_id is not None or not isinstance(outcome, StoredAnswer):
            return
        if outcome.status in (201, 202) and not outcome.replayed:
            document = json.loads(outcome.body)
            manual = document["capture_method"] == "manual"
            paid = Paid(order.merchant, document["id"], document["amount"], manual)
            with self.lock:
                self.payments.append(paid)
