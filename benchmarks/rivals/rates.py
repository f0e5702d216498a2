"""Transfers per second beside rivals, on an engine that answers at once or after a fixed delay.

Each way runs in an interpreter of its own (`worker`), with 1 client, 16 threads of one process, or
16 processes; with random accounts, and into one hot account, where the conflicts of rivals are
repeated. The ways take turns, and the best of the rounds counts: what else the machine does then
changes the ratios little. The engine's CPU time is printed, because it must not be the limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any, Final

from benchmarks.figures import Figures
from benchmarks.rivals.everything import derived_seconds
from benchmarks.rivals.judging_server import JudgingServer, judging_server
from benchmarks.rivals.seed_library import SeedLibrary, seed_library
from benchmarks.rivals.worker import Load, Measured
from benchmarks.setting import BenchmarkDependencies, Size
from local.errors import LocalError
from tests.support.engines.engine import Engine

OPENING: Final = 10**9
OURS: Final = "service"
REQUEST: Final = "request"
SEED: Final = "dynamorm"
TITLES: Final[Mapping[str, str]] = {
    OURS: "this platform",
    REQUEST: "… whole request",
    "go": "Go example",
    "pynamodb": "PynamoDB",
    SEED: "dynamorm-py",
}
TRIPS: Final[Mapping[str, int]] = {OURS: 1, REQUEST: 1, "go": 9, "pynamodb": 7, SEED: 7}
TARGETS: Final[Mapping[bool, str]] = {False: "≥ 8", True: "≥ 14"}
"""Of this platform's rate by a rival's, with 16 clients and 2 ms."""
TARGET_DELAY: Final = 0.002
MOST_OF_THEIRS: Final = 0.8
"""Of our CPU time with everything derived, by dynamorm-py's."""


class Worker:
    """A way in an interpreter of its own."""

    def __init__(self, name: str, url: str, accounts: int, seed: SeedLibrary | None) -> None:
        self.name, self.accounts = name, accounts
        python, environment = sys.executable, dict(os.environ)
        if name == SEED and seed is not None:
            python = str(seed.python)
            environment["PYTHONPATH"] = str(seed.source)
        command = [python, "-m", "benchmarks.rivals.worker", name, url, str(accounts)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def wait(self) -> None:
        """Until its accounts have been created."""
        self._answer()

    def measured(self, load: Load) -> Measured:
        """One round."""
        self._send(json.dumps(asdict(load)))
        return Measured(**json.loads(self._answer()))

    def require_conserved(self) -> None:
        """Raises LocalError if money was created or lost."""
        self._send("")
        missing = int(self._answer()) - self.accounts * OPENING
        if missing:
            raise LocalError(
                f"{TITLES[self.name]} created or lost {missing} minor units.",
                hint="A rate without correct money is meaningless: check the conditions first.",
            )

    def close(self) -> None:
        """Stop it."""
        with self._process:  # closes its pipes, which it waits for, and waits for its end
            pass

    def _send(self, line: str) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(line + "\n")
        pipe.flush()

    def _answer(self) -> str:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise LocalError(
                f"The worker of {TITLES[self.name]} ended.", hint="See its error above."
            )
        return line

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None  # noqa: S101 - both are pipes
        return pipe


@dataclass(frozen=True)
class Cell:
    """What is measured of each way."""

    delay: float
    processes: int
    threads: int
    hot: bool

    @property
    def title(self) -> str:
        """A row of the tables."""
        clients = "1 client"
        if self.threads > 1:
            clients = f"{self.threads} threads"
        elif self.processes > 1:
            clients = f"{self.processes} processes"
        return f"{clients}, {'one hot account' if self.hot else 'random accounts'}"

    @property
    def has_target(self) -> bool:
        """Whether a ratio is promised."""
        return self.delay == TARGET_DELAY and self.threads > 1


Results = Mapping[Cell, Mapping[str, Measured]]


def run(bench: BenchmarkDependencies) -> None:
    """Measure and print. Raises LocalError if money was created or lost."""
    found = seed_library(bench.progress)
    seed = found if isinstance(found, SeedLibrary) else None
    if seed is None:
        bench.console.print(f"  {found}")
    names = [name for name in TITLES if name != SEED or seed is not None]
    delays, many = bench.size.rival_delays, bench.size.rival_clients
    plans = ((1, 1), (1, many), (many, 1))
    cells = [Cell(d, p, t, hot) for d in delays for p, t in plans for hot in (False, True)]
    with judging_server() as server, _workers(names, server.url, bench.size, seed) as workers:
        results = _measured(bench, workers, cells, server)
        for worker in workers:
            worker.require_conserved()
    for delay in delays:
        bench.show(_rates(delay, names, results, bench.size))
    bench.show(_each(names, results, many))
    with bench.progress.step("Measure what is derived from a transfer"):
        derived = derived_seconds(bench.size.priced_sales)
    bench.show(_sum(names, results, derived))
    with bench.table_engine(bench.progress) as engine:
        bench.show(_on_engine(bench, engine, names, seed))
    bench.console.print("  Money was conserved in each way, or this would end with an error.")


@contextmanager
def _workers(
    names: Sequence[str], url: str, size: Size, seed: SeedLibrary | None
) -> Iterator[list[Worker]]:
    workers = [Worker(name, url, size.transfer_accounts, seed) for name in names]
    try:
        for worker in workers:
            worker.wait()
        yield workers
    finally:
        for worker in workers:
            worker.close()


def _measured(
    bench: BenchmarkDependencies,
    workers: Sequence[Worker],
    cells: Sequence[Cell],
    server: JudgingServer | None,
) -> Results:
    size = bench.size
    results: dict[Cell, dict[str, Measured]] = {}
    for cell in cells:
        if server is not None:
            server.delay(cell.delay)
        load = Load(cell.processes, cell.threads, cell.hot, size.rival_seconds)
        with bench.progress.step(f"{cell.delay * 1000:.0f} ms a trip, {cell.title}"):
            rounds = [
                {worker.name: worker.measured(load) for worker in workers}
                for _ in range(size.rival_rounds)
            ]
        results[cell] = {
            worker.name: max((each[worker.name] for each in rounds), key=_rate)
            for worker in workers
        }
    return results


def _rate(measured: Measured) -> float:
    return measured.done / measured.seconds


def _milliseconds(seconds: float, measured: Measured) -> str:
    return f"{seconds / measured.done * 1000:.2f}" if measured.done else ""


def _ratio(ours: Measured, theirs: Measured) -> str:
    return f"{_rate(ours) / _rate(theirs):.1f}" if theirs.done else "∞"


def _rivals(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in (OURS, REQUEST)]


def _row(names: Sequence[str], found: Mapping[str, Measured]) -> list[str]:
    rates = [f"{_rate(found[name]):,.0f}" for name in names]
    return [*rates, *(_ratio(found[OURS], found[name]) for name in _rivals(names))]


def _titles(first: str, names: Sequence[str]) -> list[str]:
    return [first, *(TITLES[n] for n in names), *(f"by {TITLES[n]}" for n in _rivals(names))]


def _rates(delay: float, names: Sequence[str], results: Results, size: Size) -> Figures:
    rows = []
    for cell, found in results.items():
        if cell.delay == delay:
            target = TARGETS[cell.hot] if cell.has_target else ""
            engine = max(each.engine / each.seconds for each in found.values())
            rows.append([cell.title, *_row(names, found), target, f"{engine:.0%}"])
    titles = [
        *_titles(f"transfers/s, {delay * 1000:.0f} ms a trip", names),
        "target",
        "engine's CPU at most",
    ]
    on = f"{size.transfer_accounts} accounts, best of {size.rival_rounds} rounds"
    return Figures(f"rivals-{delay * 1000:.0f}-ms", titles, rows, on)


def _each(names: Sequence[str], results: Results, many: int) -> Figures:
    alone = results[Cell(0.0, 1, 1, hot=False)]
    crowd = {hot: results[Cell(TARGET_DELAY, 1, many, hot=hot)] for hot in (False, True)}

    def of(value: Callable[[str], str]) -> list[str]:
        return [value(name) for name in names]

    def cpu(hot: bool) -> list[str]:
        found = crowd[hot]
        return of(lambda n: _milliseconds(found[n].cpu, found[n]))

    def attempts(hot: bool) -> list[str]:
        found = crowd[hot]
        return of(lambda n: f"{found[n].attempts / found[n].done:.2f}" if found[n].done else "")

    rows = [
        ["round trips", *of(lambda n: str(TRIPS[n]))],
        ["client's CPU, ms", *of(lambda n: _milliseconds(alone[n].cpu, alone[n]))],
        [f"client's CPU, {many} threads, random accounts, ms", *cpu(hot=False)],
        [f"client's CPU, {many} threads, one hot account, ms", *cpu(hot=True)],
        ["engine's CPU, ms", *of(lambda n: _milliseconds(alone[n].engine, alone[n]))],
        [f"attempts, {many} threads, random accounts", *attempts(hot=False)],
        [f"attempts, {many} threads, one hot account", *attempts(hot=True)],
    ]
    return Figures("rivals-transfer", ["a transfer", *(TITLES[n] for n in names)], rows)


def _sum(names: Sequence[str], results: Results, derived: Mapping[str, float]) -> Figures:
    alone = results[Cell(0.0, 1, 1, hot=False)]
    first = {n: alone[n].cpu / alone[n].done if alone[n].done else 0.0 for n in names}
    shown = [n for n in names if n != OURS]  # what a Lambda function runs is the whole request
    own = {n: sum(derived.values()) if n == REQUEST else 0.0 for n in shown}
    total = {n: first[n] + own[n] for n in shown}
    rows = [["the request", *(f"{first[n] * 1000:.2f}" for n in shown)]]
    for what, seconds in derived.items():
        rows.append([what, *(f"{seconds * 1000:.2f}" if n == REQUEST else "" for n in shown)])
    rows.append(["together", *(f"{total[n] * 1000:.2f}" for n in shown)])
    ours = total[REQUEST]
    rows.append(["this platform, as a part", *(f"{_part(ours, total[n])}" for n in shown)])
    if SEED in names:
        rows.append(["target", *(f"≤ {MOST_OF_THEIRS}" if n == SEED else "" for n in shown)])
    titles = ["CPU of a transfer, ms", *(TITLES[n].removeprefix("… ") for n in shown)]
    return Figures("rivals-everything", titles, rows)


def _part(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else ""


def _on_engine(
    bench: BenchmarkDependencies, engine: Engine, names: Sequence[str], seed: SeedLibrary | None
) -> Figures:
    """The same on a real engine, whose own time is the limit."""
    cells = [Cell(0.0, 1, 1, hot=False), Cell(0.0, 1, bench.size.rival_clients, hot=False)]
    workers: AbstractContextManager[Any] = _workers(
        names, engine.endpoint_url or "", bench.size, seed
    )
    with workers as started:
        results = _measured(bench, started, cells, None)
        for worker in started:
            worker.require_conserved()
    rows = [[cell.title, *_row(names, found)] for cell, found in results.items()]
    return Figures("rivals-engine", _titles(f"transfers/s, {engine.name}", names), rows)
