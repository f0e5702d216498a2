"""A payout from a busy merchant's receivable, with concurrent refunds.

Units are computed from the sizes of the items. Conflicts come from a model in virtual time: an item
is locked for T by each of its transactions; another one meanwhile is refused and retried
after the store's own pause.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from benchmarks.bill.prices import Price, by_place, price_of
from benchmarks.setting import BenchmarkDependencies
from runtime.dynamodb.store import BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS
from runtime.ledger.hot_accounts.rules import DEBIT_SHARDS
from runtime.ledger.repository import HOT_CONFLICT_CAP_SECONDS
from runtime.ledger.rules import receivable_account
from tests.support.engines.engine import Engine
from tests.support.simulation.ledger import LedgerPlatform

LOCK_SECONDS: Final = 0.005
REFUNDS_PER_SECOND: Final = (50, 500)
SHARDS: Final = (16, 32, DEBIT_SHARDS)
SALE_MINOR: Final = 100_000


def run(bench: BenchmarkDependencies) -> None:
    """Price a refund and a payout on one engine, model their conflicts, and print both."""
    console, progress = bench.console, bench.progress
    with (
        bench.table_engine(progress) as engine,
        progress.step(f"Price refunds and payouts on {engine.name}"),
    ):
        prices = _prices(engine)
    _print_prices(console, prices)
    with progress.step("Model refunds and payouts of one merchant"):
        models = {
            (rate, shards): _Model(rate, shards, bench.size.payout_seconds).run()
            for rate in REFUNDS_PER_SECOND
            for shards in SHARDS
        }
    _print_models(console, models)


def _prices(engine: Engine) -> dict[str, Price]:
    ledger = LedgerPlatform(engine, seed="bench")
    platform, merchant, calm = ledger.platform, ledger.merchant, ledger.calm
    client, reader = platform.client, engine.dynamodb()
    payment = platform.paid(merchant, amount=SALE_MINOR)
    receivable, bank = receivable_account(merchant.id, "USD"), ledger.open()
    ledger.poller.drain()
    calm.send(ledger.order(receivable, bank, 1))  # known to be hot from now on
    prices = {
        "refund": price_of(
            lambda: platform.operate(merchant, payment, "refund", amount=100), client, reader
        ),
        "payout": price_of(
            lambda: calm.send(ledger.order(receivable, bank, 100)), calm.store.client, reader
        ),
    }
    platform.drop()
    return prices


def _print_prices(console: Console, prices: dict[str, Price]) -> None:
    table = Table("", "round trips", "write units", "read units", box=SIMPLE)
    for name, price in prices.items():
        table.add_row(name, str(price.trips), str(price.requested), f"{price.read_units:.1f}")
    console.print(table)
    for name, price in prices.items():
        console.print(f"  write units of a {name}: {by_place(price.units)}")


# ---------------------------------------------------------------------------- the model


@dataclass(order=True)
class _Attempt:
    """A transaction to be attempted at `at`."""

    at: float
    number: int
    began: float = field(compare=False)
    items: tuple[int, ...] = field(compare=False)
    is_payout: bool = field(compare=False)
    tried: int = field(compare=False, default=0)


@dataclass
class _Model:
    """One merchant's refunds, evenly random in time and over the debit shards, and its payouts."""

    per_second: int
    shards: int
    seconds: float
    refund_attempts: int = 0
    refund_conflicts: int = 0
    payout_tries: list[int] = field(default_factory=list)
    payout_waits: list[float] = field(default_factory=list)

    def run(self) -> _Model:
        """Deterministic."""
        dice = random.Random(f"{self.per_second}-{self.shards}")
        queue = list(self._arrivals(dice))
        heapq.heapify(queue)
        locked = [0.0] * (self.shards + 1)
        while queue:
            attempt = heapq.heappop(queue)
            busy = any(locked[item] > attempt.at for item in attempt.items)
            self._count(attempt, busy)
            if busy:
                cap = HOT_CONFLICT_CAP_SECONDS if attempt.is_payout else BACKOFF_CAP_SECONDS
                pause = min(cap, BACKOFF_BASE_SECONDS * 2 ** (attempt.tried - 1))
                attempt.at += dice.uniform(0, pause)
                heapq.heappush(queue, attempt)
            else:
                for item in attempt.items:
                    locked[item] = attempt.at + LOCK_SECONDS
        return self

    def _arrivals(self, dice: random.Random) -> Iterator[_Attempt]:
        for number in range(int(self.per_second * self.seconds)):
            at = dice.uniform(0, self.seconds)
            yield _Attempt(at, number, at, (dice.randrange(self.shards),), is_payout=False)
        for second in range(int(self.seconds)):
            at = second + dice.random()
            yield _Attempt(at, -second, at, tuple(range(self.shards + 1)), is_payout=True)

    def _count(self, attempt: _Attempt, busy: bool) -> None:
        attempt.tried += 1
        if not attempt.is_payout:
            self.refund_attempts += 1
            self.refund_conflicts += busy
        elif not busy:
            self.payout_tries.append(attempt.tried)
            self.payout_waits.append(attempt.at - attempt.began)


def _print_models(console: Console, models: dict[tuple[int, int], _Model]) -> None:
    table = Table(
        f"one merchant, locks of {LOCK_SECONDS * 1000:.0f} ms",
        *(Column(f"{shards} shards", justify="right") for shards in SHARDS),
        "target",
        box=SIMPLE,
    )
    for rate in REFUNDS_PER_SECOND:
        found = [models[(rate, shards)] for shards in SHARDS]
        conflicts = [f"{each.refund_conflicts / each.refund_attempts:.1%}" for each in found]
        table.add_row(f"{rate} refunds/s: attempts that conflict", *conflicts, "< 5 %")
        tries = [
            f"{_at(each.payout_tries, 50):.0f} / {_at(each.payout_tries, 99):.0f}" for each in found
        ]
        table.add_row("  attempts of a payout, median / 99 %", *tries, "")
        waits = [
            f"{_at(each.payout_waits, 50):.1f} / {_at(each.payout_waits, 99):.1f}" for each in found
        ]
        table.add_row("  seconds that it waits", *waits, "")
    console.print(table)


def _at(values: list[int] | list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1]
