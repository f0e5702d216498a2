"""The resolver beside a merchant whose processor is stuck: in sequence, as before, and in parallel.

Delays come from a model in virtual time (tests/support/simulation/resolver.py) in which the run
itself is real. The processor's time of one payment is measured, on this machine and an engine of
tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.batches.lean import client_of, make_tables
from benchmarks.bill.prices import price_of
from benchmarks.setting import BenchmarkDependencies, quiet
from runtime.core.fair_run import RunLimits
from runtime.dynamodb.index_shards import LEAST_OPEN_BUCKETS_OF_MERCHANT, OPEN_BUCKETS
from runtime.settings import RESOLVER_WORKERS, RESOLVER_WORKERS_PER_MERCHANT
from tests.support.platform import Platform
from tests.support.simulation.resolver import AGE, MINUTE, Shop, VirtualPlatform, one_by_one

LIMITS: Final = RunLimits(
    workers=RESOLVER_WORKERS, per_owner=RESOLVER_WORKERS_PER_MERCHANT, begin_seconds=40
)
PARTITION_WRITE_UNITS: Final = 1_000
"""A second, of one partition key (DynamoDB Developer Guide, "Designing partition keys")."""


@dataclass(frozen=True)
class Story:
    """This many payments of one merchant are stuck for this long each."""

    name: str
    stuck: int
    seconds: float


def run(bench: BenchmarkDependencies) -> None:
    """Measure and print."""
    console, progress, size = bench.console, bench.progress, bench.size
    backlog, lost = size.resolver_backlog, size.resolver_lost
    with progress.step("Run the resolver's model"):
        delays = [
            (story.name, _delay(story, side_by_side=False), _delay(story, side_by_side=True))
            for story in _stories(*size.resolver_stuck)
        ]
        backlogs = [
            (
                f"{backlog:,} due at once of {shops} merchant{'s' * (shops > 1)}, processor 100 ms",
                _backlog(shops, backlog, side_by_side=False),
                _backlog(shops, backlog, side_by_side=True),
            )
            for shops in (1, 30)
        ]
    with (
        quiet(),  # each payment logs that its answer was lost
        bench.table_engine(progress) as engine,
        progress.step(f"Resolve {lost} on {engine.name}"),
    ):
        one = _measured(Platform(engine), RunLimits(), lost)
        many = _measured(Platform(engine), LIMITS, lost)
        units = _open_units(Platform(engine))
    _print(console, "Another merchant's payment, due after them, waits at most", delays)
    _print(console, "The last one is resolved after", backlogs)
    console.print(
        f"One payment takes {1000 * one[0]:.1f} ms of this machine's processor (its engine's "
        f"not counted), which the model leaves out: {backlog:,} take {backlog * one[0]:.0f} s. "
        f"{lost} in {one[1]:.1f} s one by one, {many[1]:.1f} s side by side.\n"
    )
    _print_capacity(console, units)


def _stories(refused: int, stuck: int) -> tuple[Story, Story]:
    return (
        Story(f"{refused:,} of one merchant, each answered with an error at once", refused, 0.0),
        Story(f"{stuck:,} of one merchant, 10 s each", stuck, 10.0),
    )


def _delay(story: Story, *, side_by_side: bool) -> float:
    """The longest wait in seconds of another merchant's payment, whenever it becomes due."""
    simulation = VirtualPlatform()
    stuck = Shop("stuck", story.seconds, answers=False)
    for _ in range(story.stuck):
        simulation.add(stuck, age_seconds=AGE.total_seconds())
    instants = range(1, 300, 7)
    for second in instants:
        simulation.add(Shop("other", 0.1), due_at=float(second))
    waits = simulation.delays.setdefault("other", [])
    simulation.run_every_minute(
        _runs(simulation, side_by_side), until=lambda: len(waits) == len(instants)
    )
    return max(waits)


def _backlog(shops: int, payments: int, *, side_by_side: bool) -> float:
    """Seconds until all are resolved, with a processor that takes 100 ms."""
    simulation = VirtualPlatform()
    for number in range(payments):
        simulation.add(Shop(f"shop-{number % shops}", 0.1))
    simulation.run_every_minute(_runs(simulation, side_by_side), until=lambda: not simulation.open)
    return simulation.now


def _runs(simulation: VirtualPlatform, side_by_side: bool) -> Callable[[], None]:
    return partial(simulation.run, LIMITS) if side_by_side else partial(one_by_one, simulation)


def _measured(platform: Platform, limits: RunLimits, lost: int) -> tuple[float, float]:
    """Seconds of the processor for one payment, and of the whole run."""
    merchants = [platform.merchant() for _ in range(8)]
    for number in range(lost):
        platform.pay(merchants[number % len(merchants)], payment_method="tok_timeout")
    make_tables(platform)
    store = platform.store_on(client_of(platform.engine))
    busy, began = time.process_time(), time.monotonic()
    report = platform.resolve(store, limits=limits)
    assert report.resolved == lost, report  # noqa: S101 - else the figure means nothing
    return (time.process_time() - busy) / lost, time.monotonic() - began


def _open_units(platform: Platform) -> int:
    """Write units of one sale in `gsi-open` of the payments table."""
    merchant, client = platform.merchant(), platform.engine.dynamodb()
    deps = platform.deps(platform.store_on(client))
    platform.pay(merchant, deps=deps)
    price = price_of(lambda: platform.pay(merchant, deps=deps), client, platform.client)
    return price.units[platform.tables["payments"], "gsi-open"]


# -------------------------------------------------------------------- tables


def _print(console: Console, title: str, rows: list[tuple[str, float, float]]) -> None:
    table = Table(title=title)
    table.add_column("")
    table.add_column("one by one", justify="right")
    table.add_column("by turns, side by side", justify="right")
    for name, before, after in rows:
        table.add_row(name, _duration(before), _duration(after))
    console.print(table)


def _print_capacity(console: Console, units: int) -> None:
    table = Table(title=f"Sales a second that gsi-open holds, {units} write units each")
    table.add_column("buckets", justify="right")
    table.add_column("sales/s", justify="right")
    for whose, buckets in (
        ("a merchant with 1 to 16 index buckets", LEAST_OPEN_BUCKETS_OF_MERCHANT),
        ("all merchants, or one with 256", OPEN_BUCKETS),
    ):
        table.add_row(f"{buckets}, {whose}", f"{buckets * PARTITION_WRITE_UNITS // units:,}")
    console.print(table)


def _duration(seconds: float) -> str:
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    minutes = seconds / MINUTE
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
