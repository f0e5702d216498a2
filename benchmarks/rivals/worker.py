"""Clients of one way to make a transfer, in processes and threads of an interpreter of its own.

`python -m benchmarks.rivals.worker WAY URL ACCOUNTS` creates the way's tables and accounts, and
then answers each line of its input, a `Load`, with a `Measured`, both as JSON. An empty line asks
for the total of all balances. Client processes are forked after everything was imported.

Only the standard library is imported here: the interpreter may have no packages but a rival's.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol
from urllib.error import HTTPError
from urllib.request import Request, urlopen

WARM_TRANSFERS: Final = 2
"""Between random accounts: they open the connections and fill caches."""
_PAUSE_SECONDS: Final = 0.02
"""Between the last client's being ready and the beginning."""

GaveUp = Callable[[], bool]
Transfer = Callable[[int, int | None, GaveUp], int]
"""From an account to another, or to the hot one, by number; `GaveUp` is asked before a repetition.
Returns the attempts, negative if it gave up."""


class Way(Protocol):
    """One implementation of a transfer."""

    def prepare(self) -> None:
        """Create tables and accounts."""
        ...

    def connect(self) -> Transfer:
        """Clients without open connections, because the processes are forked with them."""
        ...

    def total(self) -> int:
        """The sum of all balances, including what is still to be added to the hot account."""
        ...


@dataclass(frozen=True)
class Load:
    """What to measure: clients are `processes` times `threads`."""

    processes: int
    threads: int
    hot: bool
    seconds: float


@dataclass(frozen=True)
class Measured:
    """Transfers, attempts, and seconds from the beginning until the last client had finished.

    `cpu`: seconds of CPU time of the clients, `engine`: of the engine, if it can be asked.
    """

    done: int
    attempts: int
    seconds: float
    cpu: float
    engine: float


def main() -> None:
    """Serve the input's lines."""
    name, url, accounts = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sys.stdout, answers = sys.stderr, sys.stdout  # nothing else is printed between the answers
    way: Way = import_module(f"benchmarks.rivals.ways.{name}").way(url, accounts)
    way.prepare()
    transfer = way.connect()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        answer: Any = way.total()
        if line.strip():
            answer = asdict(measured(transfer, url, accounts, Load(**json.loads(line))))
        print(json.dumps(answer), file=answers, flush=True)


def measured(transfer: Transfer, url: str, accounts: int, load: Load) -> Measured:
    """One load."""
    fork = multiprocessing.get_context("fork")
    ours, processes = [], []
    for number in range(load.processes):
        mine, theirs = fork.Pipe()
        seed = number * load.threads
        process = fork.Process(target=_clients, args=(transfer, accounts, load, seed, theirs))
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        ours.append(mine)
        processes.append(process)
    for each in ours:
        each.recv()
    engine = _engine_cpu(url)
    begin = time.monotonic() + _PAUSE_SECONDS
    for each in ours:
        each.send(begin)
    results = [each.recv() for each in ours]
    engine = _engine_cpu(url) - engine
    for process in processes:
        process.join()
    done, attempts, ends, cpu = zip(*results, strict=True)
    return Measured(sum(done), sum(attempts), max(ends) - begin, sum(cpu), engine)


def _engine_cpu(url: str) -> float:
    asked = Request(url, b"{}", {"X-Amz-Target": "Benchmark.Cpu"})  # noqa: S310 - this machine
    try:
        with urlopen(asked) as response:  # noqa: S310
            return float(json.load(response)["seconds"])
    except HTTPError:
        return 0.0  # DynamoDB Local does not know the question


def _clients(transfer: Transfer, accounts: int, load: Load, seed: int, parent: Connection) -> None:
    """The threads of one process."""
    counts = [(0, 0)] * load.threads
    ready, begun = threading.Barrier(load.threads + 1), threading.Event()
    begin = 0.0

    def client(number: int) -> None:
        try:
            counts[number] = run(number)
        except BaseException:
            ready.abort()  # else the others would wait for it
            raise

    def run(number: int) -> tuple[int, int]:
        dice = random.Random(seed + number)
        for _ in range(WARM_TRANSFERS):
            _one(transfer, dice, accounts, hot=False, gave_up=lambda: False)
        ready.wait()
        begun.wait()
        time.sleep(max(0.0, begin - time.monotonic()))
        end = begin + load.seconds
        done = attempts = 0
        while time.monotonic() < end:
            took = _one(
                transfer, dice, accounts, hot=load.hot, gave_up=lambda: time.monotonic() >= end
            )
            attempts += abs(took)
            done += took > 0
        return done, attempts

    threads = [threading.Thread(target=client, args=(n,)) for n in range(load.threads)]
    for thread in threads:
        thread.start()
    ready.wait()
    parent.send("ready")
    begin = parent.recv()
    cpu = time.process_time()
    begun.set()
    for thread in threads:
        thread.join()
    cpu = time.process_time() - cpu
    done, attempts = (sum(each) for each in zip(*counts, strict=True))
    parent.send((done, attempts, time.monotonic(), cpu))


def _one(
    transfer: Transfer, dice: random.Random, accounts: int, *, hot: bool, gave_up: GaveUp
) -> int:
    source, target = dice.sample(range(accounts), 2)
    return transfer(source, None if hot else target, gave_up)


if __name__ == "__main__":
    main()
