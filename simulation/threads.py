"""Threads and locks of one simulated environment: greenlets that give way instead of blocking."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from simulation.environments import Environment
from simulation.loop import Loop
from simulation.tasks import Task, Violation

Result = TypeVar("Result")

START_SPREAD_SECONDS: Final = 0.0001
"""Threads begin within so long, in any order."""


class GreenletFuture(Future[Result]):
    """What a thread will have done. A task that asks for it too early gives way."""

    # Without Future's own state: its condition would block the one thread there is.
    def __init__(self, scheduler: Loop, number: int) -> None:
        self._scheduler = scheduler
        self._number = number
        self._worker: Task | None = None
        self._ended = self._cancelled = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._asking: list[tuple[Task, int]] = []

    def __hash__(self) -> int:
        """The order of a set of futures must not depend on where they lie in memory."""
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"GreenletFuture({self._number}{', done' if self._ended else ''})"

    def held_by(self) -> Task | None:
        """Who works on it."""
        return self._worker

    def done(self) -> bool:
        """It has ended, or will not begin."""
        return self._ended

    def cancelled(self) -> bool:
        """It will not begin."""
        return self._cancelled

    def running(self) -> bool:
        """A thread works on it."""
        return self._worker is not None and not self._ended

    def cancel(self) -> bool:
        """Not to begin what has not begun."""
        if not self._ended and self._worker is None:
            self._cancelled = True
            self._end()
        return self._cancelled

    def result(self, timeout: float | None = None) -> Result:
        """What the work returned; raises what it raised. TimeoutError after `timeout` seconds."""
        error = self.exception(timeout)
        if error is not None:
            raise error
        result: Result = self._value
        return result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the work raised, if anything."""
        if not self._ended:
            first_done(self._scheduler, [self], timeout)
        if not self._ended:
            raise TimeoutError
        if self._cancelled:
            raise CancelledError
        return self._error

    def work(self, worker: Task | None, act: Callable[[], Result]) -> None:
        """Do it now."""
        self._worker = worker
        try:
            self._value = act()
        except BaseException as error:  # noqa: BLE001 - as an executor's thread: for who asks
            self._error = error
        self._end()

    def tell(self, task: Task) -> None:
        """Let `task` go on from its present wait once this is done."""
        self._asking.append((task, task.wait))

    def _end(self) -> None:
        self._ended = True
        asking, self._asking = self._asking, []
        for task, wait in asking:
            self._scheduler.at(self._scheduler.now, self._scheduler.resume, task, None, None, wait)


class _AnyOf:
    """A wait for several; no single task holds it."""

    def held_by(self) -> Task | None:
        return None


def first_done(
    scheduler: Loop, futures: Iterable[Future[Result]], seconds: float | None
) -> set[Future[Result]]:
    """Those that have ended, as soon as one has; empty after `seconds`."""
    asked = list(futures)
    gives_up_at = None if seconds is None else scheduler.now + seconds
    while True:
        done = {future for future in asked if future.done()}
        if done or not asked:
            return done
        left = None if gives_up_at is None else gives_up_at - scheduler.now
        if left is not None and left <= 0:
            return set()
        if scheduler.current is None:
            scheduler.run(
                until=lambda: any(future.done() for future in asked),
                max_time=scheduler.now + (1e9 if left is None else left),
            )
            continue
        for future in asked:
            assert isinstance(future, GreenletFuture), "a future of other threads"
            future.tell(scheduler.current)
        only = asked[0] if len(asked) == 1 else None
        scheduler.park_for(only if isinstance(only, GreenletFuture) else _AnyOf(), left)


class GreenletThreads:
    """At most `most` tasks of one environment, which do what they are given in its order."""

    def __init__(self, scheduler: Loop, environment: Environment | None, most: int) -> None:
        self._scheduler, self._environment, self._most = scheduler, environment, most
        self._queue: deque[tuple[GreenletFuture[Any], Callable[[], Any]]] = deque()
        self._futures: list[GreenletFuture[Any]] = []
        self._workers = 0
        self._shut = False

    def map(self, work: Callable[..., Result], /, *items: Iterable[Any]) -> Iterator[Result]:
        """The results of `work` on each item, in the order of the items; raises what it raises."""
        futures = [self.submit(work, *each) for each in zip(*items)]  # noqa: B905 - as Executor.map
        return _results(futures)

    def submit(self, work: Callable[..., Result], /, *arguments: Any) -> Future[Result]:
        """Have `work` done."""
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        scheduler = self._scheduler
        future: GreenletFuture[Result] = GreenletFuture(scheduler, scheduler.next_number())
        if scheduler.current is None:  # the hub cannot wait, so it does the work itself
            future.work(None, lambda: work(*arguments))
            return future
        self._queue.append((future, lambda: work(*arguments)))
        self._futures.append(future)
        if self._workers < self._most:
            self._workers += 1
            delay = scheduler.rng.random() * START_SPREAD_SECONDS
            scheduler.spawn(self._work, "thread", self._environment, delay)
        return future

    def first_done(
        self, futures: Iterable[Future[Result]], seconds: float | None
    ) -> set[Future[Result]]:
        """Those that have ended, as soon as one has; empty after `seconds`, None being forever."""
        return first_done(self._scheduler, futures, seconds)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End; with `wait` once all is done, with `cancel_futures` what has not begun is not."""
        self._shut = True
        if cancel_futures:
            for future in self._futures:
                future.cancel()
        if wait:
            for future in self._futures:
                first_done(self._scheduler, [future], None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self.shutdown()
        return None

    def _work(self) -> None:
        me = self._scheduler.running()
        while self._queue:
            future, act = self._queue.popleft()
            if not future.done():
                future.work(me, act)
        self._workers -= 1


def _results(futures: list[Future[Result]]) -> Iterator[Result]:
    """As Executor.map: who stops asking wants nothing begun any more."""
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


class CooperativeLock:
    """A lock that is not reentrant. Who finds it taken gives way; who gets it next is chance."""

    def __init__(self, scheduler: Loop) -> None:
        self._scheduler = scheduler
        self._taken = False
        self._holder: Task | None = None
        self._waiters: list[tuple[Task, int]] = []

    def held_by(self) -> Task | None:
        """Who has it."""
        return self._holder

    def __enter__(self) -> bool:
        scheduler = self._scheduler
        while self._taken:
            task = scheduler.current
            if task is None:
                raise Violation(f"the hub would wait forever for a lock of {self._holder}")
            self._waiters.append((task, task.wait))
            scheduler.park_for(self)
        self._taken, self._holder = True, scheduler.current
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._taken, self._holder = False, None
        if self._waiters:
            chance: Random = self._scheduler.rng
            task, wait = self._waiters.pop(chance.randrange(len(self._waiters)))
            self._scheduler.at(self._scheduler.now, self._scheduler.resume, task, None, None, wait)
