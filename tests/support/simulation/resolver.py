"""The resolver's runs in virtual time: stuck payments, healthy ones, and a minute's schedule.

Modelled: how long a processor takes, when an unanswered payment becomes due again, how
long a query takes, and a run each minute. Real: the run itself (core/fair_run.py).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from runtime.core.fair_run import Due, Ended, RunLimits, run_fairly
from runtime.payments.operations.rules import retry_delay

DATABASE_SECONDS = 0.05
"""Five round trips to DynamoDB for each payment."""
LOOK_SECONDS = 1.0
MINUTE = 60.0
RESOLVER_LEASE = timedelta(seconds=20)
AGE = timedelta(hours=1)
"""How old a stuck payment is at the beginning."""


@dataclass
class Shop:
    """A merchant: how long its processor takes, and whether it answers at all."""

    name: str
    seconds: float
    answers: bool = True


@dataclass
class OpenPayment:
    """A payment that waits: when it is due, and since when it is unknown."""

    shop: Shop
    due_at: float
    made_at: float
    first_due: float


@dataclass
class Work:
    """One payment whose query has begun and not ended."""

    identifier: str
    seconds: float


@dataclass
class VirtualPlatform:
    """All open payments, and a clock that only moves when something takes time."""

    now: float = 0.0
    open: dict[str, OpenPayment] = field(default_factory=dict)
    delays: dict[str, list[float]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    most_in_flight: Counter[str] = field(default_factory=Counter)
    _in_flight: Counter[str] = field(default_factory=Counter)

    def add(self, shop: Shop, *, due_at: float = 0.0, age_seconds: float = 0.0) -> str:
        """Add a payment that is due from then on."""
        identifier = f"{shop.name}-{len(self.open)}-{due_at}"
        self.open[identifier] = OpenPayment(shop, due_at, due_at - age_seconds, due_at)
        return identifier

    def look(self, most: int | None = None) -> list[Due[Work]]:
        """All due payments, or the first ones, oldest first."""
        self.now += LOOK_SECONDS
        due = [(each.due_at, name) for name, each in self.open.items() if each.due_at <= self.now]
        return [
            Due(name, self.open[name].shop.name, partial(self.begun, name))
            for _, name in (sorted(due) if most is None else heapq.nsmallest(most, due))
        ]

    def begun(self, identifier: str) -> Work:
        """A query begins."""
        shop = self.open[identifier].shop
        self.asked[identifier] += 1
        self._in_flight[shop.name] += 1
        self.most_in_flight[shop.name] = max(
            self.most_in_flight[shop.name], self._in_flight[shop.name]
        )
        return Work(identifier, shop.seconds + DATABASE_SECONDS)

    def over(self, work: Work) -> None:
        """The processor has answered, or not."""
        payment = self.open[work.identifier]
        self._in_flight[payment.shop.name] -= 1
        if payment.shop.answers:
            del self.open[work.identifier]
            delay = self.now - payment.first_due
            self.delays.setdefault(payment.shop.name, []).append(delay)
            return
        age = timedelta(seconds=self.now - payment.made_at)
        payment.due_at = self.now + retry_delay(age, RESOLVER_LEASE).total_seconds()

    def run(self, limits: RunLimits) -> None:
        """One real run of the resolver."""
        workers = VirtualWorkers(self)
        run_fairly(self.look, workers, limits, lambda: True, lambda: self.now)

    def run_every_minute(self, run: Callable[[], None], *, until: Callable[[], bool]) -> None:
        """Runs one after the other until `until`, for ten days at most."""
        for minute in range(14_400):
            # A run that takes longer than a minute delays the next one, which is worse than in AWS.
            self.now = max(self.now, minute * MINUTE)
            run()
            if until():
                return


@dataclass
class VirtualWorkers:
    """Workers whose work takes only virtual time."""

    simulation: VirtualPlatform
    _ends: list[tuple[float, int, Ended[Work]]] = field(default_factory=list)

    def begin(self, work: Callable[[], Ended[Work]]) -> None:
        """It ends when its processor has answered."""
        ended = work()
        number = self.simulation.asked.total()  # of two that end at once the first begun ends first
        heapq.heappush(self._ends, (self.simulation.now + ended.result.seconds, number, ended))

    def ended(self, within_seconds: float | None) -> list[Ended[Work]]:
        """Advance the clock to the next end, or this far."""
        at, _, first = self._ends[0]
        if within_seconds is not None and at > self.simulation.now + within_seconds:
            self.simulation.now += within_seconds
            return []
        heapq.heappop(self._ends)
        self.simulation.now = max(self.simulation.now, at)
        self.simulation.over(first.result)
        return [first]


def one_by_one(simulation: VirtualPlatform, *, most: int = 100, seconds: float = 100.0) -> None:
    """A run of an earlier version: the hundred oldest, one after the other, for this long."""
    ends = simulation.now + seconds
    for due in simulation.look(most):
        if simulation.now >= ends:
            return
        work = due.do()
        simulation.now += work.seconds
        simulation.over(work)
