"""The size and place of each benchmark: full for figures, or tiny to test that it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console

from benchmarks.emulator import emulator, table_engine
from benchmarks.figures import Figures
from local.progress import Progress
from runtime.core.observability import logger
from tests.support.engines.engine import Engine


@dataclass(frozen=True)
class Size:
    """The size of each benchmark. Figures of anything but `FULL` mean nothing.

    `transfer_seconds` is the length of one measurement, `payout_seconds` virtual time of one model
    with a payout in each second. `most_bodies` cuts a list short.
    """

    cpu_requests: int
    client_calls: int
    priced_sales: int
    queried_operations: int
    query_requests: int
    transfer_accounts: int
    transfer_seconds: float
    transfer_clients: tuple[int, ...]
    rival_clients: int
    rival_delays: tuple[float, ...]
    rival_seconds: float
    rival_rounds: int
    sale_clients: tuple[int, ...]
    sale_rounds: int
    sales_of_a_round: int
    payout_seconds: float
    resolver_stuck: tuple[int, int]
    resolver_backlog: int
    resolver_lost: int
    reconcile_lines: tuple[int, ...]
    export_payments: tuple[int, ...]
    encryption_sales: int
    encryption_reads: int
    encryption_tokens: int
    cold_starts: int
    card_scan_times: int
    most_bodies: int


FULL: Final = Size(
    cpu_requests=40,
    client_calls=500,
    priced_sales=100,
    queried_operations=40,
    query_requests=80,
    transfer_accounts=200,
    transfer_seconds=3.0,
    transfer_clients=(1, 16),
    rival_clients=16,
    rival_delays=(0.0, 0.002, 0.006),
    rival_seconds=0.5,
    rival_rounds=2,
    sale_clients=(1, 8),
    sale_rounds=3,
    sales_of_a_round=60,
    payout_seconds=100.0,
    resolver_stuck=(2_500, 10_000),
    resolver_backlog=3_000,
    resolver_lost=200,
    reconcile_lines=(1_000, 10_000, 100_000),
    export_payments=(1_000, 10_000, 100_000),
    encryption_sales=20,
    encryption_reads=2_000,
    encryption_tokens=200,
    cold_starts=9,
    card_scan_times=5,
    most_bodies=100,
)
TINY: Final = Size(
    cpu_requests=2,
    client_calls=2,
    priced_sales=2,
    queried_operations=3,
    query_requests=2,
    transfer_accounts=4,
    transfer_seconds=0.02,
    transfer_clients=(1, 2),
    rival_clients=2,
    rival_delays=(0.0, 0.002),
    rival_seconds=0.02,
    rival_rounds=1,
    sale_clients=(1, 2),
    sale_rounds=1,
    sales_of_a_round=2,
    payout_seconds=2.0,
    resolver_stuck=(3, 5),
    resolver_backlog=10,
    resolver_lost=2,
    reconcile_lines=(3,),
    export_payments=(30,),
    encryption_sales=1,
    encryption_reads=2,
    encryption_tokens=2,
    cold_starts=1,
    card_scan_times=1,
    most_bodies=1,
)


@dataclass(frozen=True)
class BenchmarkDependencies:
    """The set-up of a benchmark. `table_engine` and `emulator` start what they yield."""

    console: Console
    progress: Progress
    size: Size = FULL
    table_engine: Callable[[Progress], AbstractContextManager[Engine]] = table_engine
    emulator: Callable[[Progress], AbstractContextManager[object]] = emulator
    figures: list[Figures] = field(default_factory=list)
    """What `show` has printed."""

    def show(self, figures: Figures) -> None:
        """Print a table, and keep it for the guide."""
        self.console.print(figures.table())
        self.figures.append(figures)


Benchmark = Callable[[BenchmarkDependencies], None]
"""Measures, and prints what it found. Raises LocalError when the figures would mean nothing."""


@contextmanager
def quiet() -> Iterator[None]:
    """Log only errors while the block runs."""
    level, disabled = logger.log_level, logging.root.manager.disable
    logger.setLevel(logging.ERROR)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
        logger.setLevel(level)
