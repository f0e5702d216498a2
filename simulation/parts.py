"""A long run in parts: each is a world of its own, with a seed derived from the run's.

How operations are parted depends on their number alone, so the history of a run is the same
whatever the number of processes; and the seed of a part, with its operations, plays it alone.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Final

from simulation.clients.kinds import CLIENTS
from simulation.outcome import Outcome, play
from simulation.platform.plan import ClientKind, Part, Plan
from simulation.platform.world import Platform

PROGRESS_SECONDS: Final = 15.0
"""Real seconds between two lines about a part."""
PART_OPERATIONS: Final = 2_500
"""Operations of one part, at the most: its rows and its dead environments stay in memory."""
COLLECT_RARELY: Final = (100_000, 50, 100)
"""Thresholds of the garbage collector: a part keeps nearly all that it makes, and collecting at
Python's defaults takes 8 % of its time (1,000 operations: 14.1 instead of 15.2 s of CPU)."""


@dataclass(frozen=True)
class Choice:
    """What a run is limited to: kinds of clients, parts, and clients by name with operations."""

    parts: frozenset[Part] = frozenset(Part)
    kinds: tuple[ClientKind, ...] = tuple(CLIENTS)
    clients: tuple[tuple[str, int], ...] = ()

    def plan(self, seed: str, operations: int) -> Plan:
        """The plan of a seed, as far as it is chosen. Raises ValueError for an unknown client."""
        drawn = Plan.drawn(seed, operations, parts=self.parts, kinds=self.kinds)
        if not self.clients:
            return drawn
        wanted = dict(self.clients)
        unknown = wanted.keys() - {client.name for client in drawn.clients}
        if unknown:
            raise ValueError(f"{seed} with {operations} operations has no clients {unknown}")
        for client in drawn.clients:
            if client.name in wanted:
                drawn = drawn.limited(client.name, wanted[client.name])
            else:
                drawn = drawn.without(client.name)
        return drawn


def parted(seed: str, operations: int) -> tuple[tuple[str, int], ...]:
    """Seeds and operations of the parts; one part of the run's own seed where it is short."""
    many = -(-operations // PART_OPERATIONS)
    if many <= 1:
        return ((seed, operations),)
    each, more = divmod(operations, many)
    return tuple((f"{seed}.{number}", each + (number <= more)) for number in range(1, many + 1))


def hash_over(outcomes: Iterable[Outcome]) -> str:
    """One hash, in hex, for the parts in their order; that of the only one where it is alone."""
    hashes = [outcome.hash for outcome in outcomes]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def play_parts(plans: Sequence[Plan], processes: int) -> Iterator[tuple[Plan, Outcome]]:
    """The parts' outcomes in order, each played in a process of its own.

    Whoever stops asking ends the parts that are still being played.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # a part would take 2 s to import it by itself
    waiting, done = deque(enumerate(plans)), dict[int, Outcome]()
    running: dict[Connection, tuple[int, ForkServerProcess]] = {}
    following = 0
    try:
        while following < len(plans):
            while waiting and len(running) < processes:
                place, plan = waiting.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_play, args=(plan, theirs), name=plan.seed)
                process.start()
                theirs.close()
                running[ours] = (place, process)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                place, process = running.pop(ready)
                done[place] = _received(ready, process)
            while following in done:
                yield plans[following], done.pop(following)
                following += 1
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _play(plan: Plan, answer: Connection) -> None:
    """In the process of a part."""
    gc.set_threshold(*COLLECT_RARELY)
    answer.send(play(plan, Progress(plan)))


def _received(answer: Connection, process: ForkServerProcess) -> Outcome:
    """What a part came to; one whose process has died proves nothing."""
    try:
        outcome = answer.recv()
    except EOFError:
        process.join()
        fault = f"crash: the process of {process.name} ended with {process.exitcode}"
        return Outcome(process.name, 0, 0, 0.0, "0" * 64, (fault,), "crash")
    process.join()
    assert isinstance(outcome, Outcome)
    return outcome


class Progress:
    """Reports progress of a part in real time; the report is not part of the history."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = self._said = time.monotonic()

    def __call__(self, platform: Platform) -> None:
        """After a commit."""
        now = time.monotonic()
        if now - self._said < PROGRESS_SECONDS:
            return
        self._said = now
        done = sum(client.done for client in platform.clients)
        sys.stderr.write(
            f"{self._plan.seed}: {done} of {self._plan.operations} operations, "
            f"{platform.watch.commits} commits, {platform.scheduler.now:.0f} s of virtual time "
            f"after {now - self._began:.0f} s\n"
        )
