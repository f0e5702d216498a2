"""A run over work of many owners: in parallel, in turns, polling for more as it goes.

Scheduling is pure (core/fair_queue.py); I/O is passed in: `look` finds due work, `Workers` do it.
A test can therefore run hours in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

from runtime.core.fair_queue import FairQueue
from runtime.core.outside import Threads

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Concurrency and duration of a run.

    At most `workers` items run in parallel, `per_owner` of them for one owner. The run polls for
    more every `look_seconds`. After `begin_seconds` it starts nothing new; the next run does.
    """

    workers: int = 1
    per_owner: int = 1
    look_seconds: float = 10.0
    begin_seconds: float = 40.0


ONE_BY_ONE: Final = RunLimits()


@dataclass(frozen=True, slots=True)
class Due(Generic[Result]):
    """Work to do once in a run, by its id, for its owner."""

    identifier: str
    owner: str
    do: Callable[[], Result]


@dataclass(frozen=True, slots=True)
class Ended(Generic[Result]):
    """The result of one item, and its owner."""

    owner: str
    result: Result


class Workers(Protocol[Result]):
    """Executes the work."""

    def begin(self, work: Callable[[], Ended[Result]]) -> None:
        """Start the work; at most `RunLimits.workers` run in parallel."""
        ...

    def ended(self, within_seconds: float | None) -> list[Ended[Result]]:
        """Finished work, as soon as there is any; empty after `within_seconds`."""
        ...


class WorkerThreads(Generic[Result]):
    """Workers on threads. `ended` raises what the work raised."""

    def __init__(self, pool: Threads) -> None:
        self._pool = pool
        self._working: list[Future[Ended[Result]]] = []

    def begin(self, work: Callable[[], Ended[Result]]) -> None:
        """Submit the work to a thread."""
        self._working.append(self._pool.submit(work))

    def ended(self, within_seconds: float | None) -> list[Ended[Result]]:
        """Finished work, as soon as there is any."""
        done = self._pool.first_done(self._working, within_seconds)
        ended = [each for each in self._working if each in done]
        self._working = [each for each in self._working if each not in done]
        return [each.result() for each in ended]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class FairRun(Generic[Result]):
    """Result of a run. `due`: items seen, each once; `left`: items not started, by owner."""

    due: int
    left: Mapping[str, int]
    results: list[Result]


def run_fairly(
    look: Callable[[], Iterable[Due[Result]]],
    workers: Workers[Result],
    limits: RunLimits,
    has_time: Callable[[], bool],
    monotonic: Callable[[], float],
) -> FairRun[Result]:
    """Do everything that is due, and what becomes due meanwhile, while there is time to start it.

    `look` may return a part of what is due. When that is done, it is asked for more at once. The
    run ends when it has nothing new after the last work, or when time is over.

    Raises what `look` or the work raises; closing `workers` waits for work in progress.
    """
    queue: FairQueue[Due[Result]] = FairQueue(limits.per_owner)
    seen: set[str] = set()
    results: list[Result] = []
    began = look_at = monotonic()
    in_time, has_worked = True, False
    while True:
        if in_time and monotonic() >= look_at:
            for due in look():
                if due.identifier not in seen:
                    seen.add(due.identifier)
                    queue.add(due.owner, due)
            look_at, has_worked = monotonic() + limits.look_seconds, False
        while in_time and queue.in_flight < limits.workers and queue.has_next:
            in_time = has_time() and monotonic() - began <= limits.begin_seconds
            if in_time and (taken := queue.take()) is not None:
                workers.begin(partial(_done, *taken))
        if not queue.in_flight:
            in_time = in_time and has_time() and monotonic() - began <= limits.begin_seconds
            if not (in_time and has_worked):
                return FairRun(len(seen), queue.waiting_of(), results)
            look_at = monotonic()
            continue
        until_the_next_look = max(0.0, look_at - monotonic()) if in_time else None
        for ended in workers.ended(until_the_next_look):
            queue.done(ended.owner)
            has_worked = True
            results.append(ended.result)


def _done(owner: str, due: Due[Result]) -> Ended[Result]:
    return Ended(owner, due.do())
