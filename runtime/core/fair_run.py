"""One run over work of many owners: side by side, by turns, looking for more as it goes.

The plan is pure (core/fair_queue.py); what takes time comes in: `look` finds what is due,
`Workers` do it. So a run of hours can be tried out in no time.
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
    """How much of a run goes on at once, and for how long.

    `workers` do things at once, `per_owner` of them for one owner. Every `look_seconds` the run
    looks for more. After `begin_seconds` it begins nothing any more: the next run does.
    """

    workers: int = 1
    per_owner: int = 1
    look_seconds: float = 10.0
    begin_seconds: float = 40.0


ONE_BY_ONE: Final = RunLimits()


@dataclass(frozen=True, slots=True)
class Due(Generic[Result]):
    """Something to be done once in a run, by its id, for its owner."""

    identifier: str
    owner: str
    do: Callable[[], Result]


@dataclass(frozen=True, slots=True)
class Ended(Generic[Result]):
    """What was done, and for whom."""

    owner: str
    result: Result


class Workers(Protocol[Result]):
    """Who does the work."""

    def begin(self, work: Callable[[], Ended[Result]]) -> None:
        """Have it done; `RunLimits.workers` at once at the most."""
        ...

    def ended(self, within_seconds: float | None) -> list[Ended[Result]]:
        """What has ended, as soon as something has; nothing after `within_seconds`."""
        ...


class WorkerThreads(Generic[Result]):
    """Workers that are threads. What a work raises is raised by `ended`."""

    def __init__(self, pool: Threads) -> None:
        self._pool = pool
        self._working: list[Future[Ended[Result]]] = []

    def begin(self, work: Callable[[], Ended[Result]]) -> None:
        """Have a thread do it."""
        self._working.append(self._pool.submit(work))

    def ended(self, within_seconds: float | None) -> list[Ended[Result]]:
        """What has ended, as soon as something has."""
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
    """What one run did. `due` were seen, each once; `left` of them, by owner, were not begun."""

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
    """Do all that is due, and what becomes due meanwhile, while there is time to begin it.

    Raises what `look` or a work raises; whatever is at work then is waited for by `workers`.
    """
    queue: FairQueue[Due[Result]] = FairQueue(limits.per_owner)
    seen: set[str] = set()
    results: list[Result] = []
    began = look_at = monotonic()
    in_time = True
    while True:
        if in_time and monotonic() >= look_at:
            for due in look():
                if due.identifier not in seen:
                    seen.add(due.identifier)
                    queue.add(due.owner, due)
            look_at = monotonic() + limits.look_seconds
        while in_time and queue.in_flight < limits.workers and queue.has_next:
            in_time = has_time() and monotonic() - began <= limits.begin_seconds
            if in_time and (taken := queue.take()) is not None:
                workers.begin(partial(_done, *taken))
        if not queue.in_flight:
            return FairRun(len(seen), queue.waiting_of(), results)
        until_the_next_look = max(0.0, look_at - monotonic()) if in_time else None
        for ended in workers.ended(until_the_next_look):
            queue.done(ended.owner)
            results.append(ended.result)


def _done(owner: str, due: Due[Result]) -> Ended[Result]:
    return Ended(owner, due.do())
