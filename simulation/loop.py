"""One thread, virtual time: which task goes on next, and when.

A heap of events ordered by virtual time is worked off by the hub, the greenlet that calls `run`.
A task is a greenlet that runs until it waits for something; then the hub takes the next event.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

from simulation.environments import Environment
from simulation.tasks import (
    Discarded,
    LambdaDied,
    Task,
    TimedOut,
    Violation,
    Waits,
    current_greenlet,
)

COLLECT_EVERY: Final = 300_000
"""Events between two collections of garbage: at the same places in every run of a seed."""
OUTSIDE_SECONDS: Final = 60.0
"""What `remaining` says where no invocation runs."""


class Loop:
    """Virtual time, and the tasks that run in it."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.rng = Random(f"{seed}-scheduler")
        self.now = 0.0
        """Seconds since the world began."""
        self.current: Task | None = None
        """The task that runs; None where the hub does something itself."""
        self.switches = 0
        self.environments_died = 0
        self._hub = current_greenlet()
        self._events: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._numbers = 0
        self._broken: BaseException | None = None
        self._tasks: dict[Task, None] = {}
        """All that have not ended, those of dead environments among them: an
        unreferenced greenlet is unwound by Python, and its `finally` blocks would run."""
        self._discarding = False

    # ------------------------------------------------------------ time

    def at(self, when: float, action: Callable[..., Any], *arguments: Any) -> None:
        """Have the hub call `action` at `when`; it must not wait for anything."""
        self._numbers += 1
        heappush(self._events, (when, self._numbers, action, arguments))

    def next_number(self) -> int:
        """A number that no event and nothing else has."""
        self._numbers += 1
        return self._numbers

    def run(self, until: Callable[[], bool] = lambda: False, max_time: float = math.inf) -> None:
        """Work off events until `until` says so, none is left, or `max_time` is reached.

        Raises the exception of a task that no other waits for: a Violation, or a defect in here.
        """
        assert self.current is None, "run is for the hub; a task waits with sleep or join"
        assert current_greenlet() is self._hub, "run is for the greenlet that made the scheduler"
        events, count = self._events, 0
        collecting = gc.isenabled()
        gc.disable()  # what it finalizes, and when, must not depend on what else this process did
        try:
            while events and not until():
                if events[0][0] > max_time:
                    self.now = max(self.now, max_time)
                    return
                when, _, action, arguments = heappop(events)
                self.now = max(self.now, when)
                action(*arguments)
                if self._broken is not None:
                    broken, self._broken = self._broken, None
                    raise broken
                count += 1
                if count % COLLECT_EVERY == 0:
                    gc.collect()
            if not events and max_time < math.inf:
                self.now = max(self.now, max_time)
        finally:
            if collecting:
                gc.enable()

    def break_off(self, error: BaseException) -> None:
        """End the run with `error`, once the event that is being worked on has ended."""
        if self._broken is None:
            self._broken = error

    # ------------------------------------------------------------ tasks

    def spawn(
        self,
        work: Callable[[], Any],
        name: str,
        environment: Environment | None = None,
        delay: float = 0.0,
    ) -> Task:
        """Begin `work` after `delay` seconds, as a part of `environment` if one is named."""

        def body(_: Any) -> None:
            try:
                task.value = work()
            except BaseException as error:  # noqa: BLE001 - belongs to who waits for it
                task.error = error
            self._ended(task)

        task = Task(name, environment, body, self._hub)
        self._tasks[task] = None
        if environment is not None:
            environment.tasks[task] = None
        self.at(self.now + delay, self.resume, task)
        return task

    def _ended(self, task: Task) -> None:
        task.done = True
        self._tasks.pop(task, None)
        environment = task.environment
        if environment is not None:
            environment.tasks.pop(task, None)
        for waiter, wait in task.waiters:
            self.at(self.now, self.resume, waiter, None, None, wait)
        unheard = environment is None and not task.waiters
        if task.error is not None and unheard and not self._discarding:
            self.break_off(task.error)

    def resume(
        self,
        task: Task,
        value: Any = None,
        error: BaseException | None = None,
        wait: int = -1,
    ) -> None:
        """Let a task go on with a value or an error; nothing if it is no longer in that `wait`."""
        environment = task.environment
        if (
            task.done
            or (environment is not None and environment.dead)
            or (wait >= 0 and wait != task.wait)
        ):
            return
        self.current = task
        task.wait += 1
        self.switches += 1
        task.greenlet.switch((value, error))
        self.current = None

    def park(self) -> Any:
        """Give way until this task is resumed: with a value to return, or an error to raise."""
        if self._discarding:
            raise Discarded
        value, error = self._hub.switch()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # its traceback has this frame: a cycle that only the collector would free

    def park_for(self, wanted: Waits, seconds: float | None = None) -> Any:
        """Give way until another task of this environment gives `wanted`.

        Raises Violation where that would be never: the tasks wait for each other in a circle.
        """
        task = self.running()
        circle = task.deadlocked_with(wanted)
        if circle:
            deadlock = Violation(f"t={self.now:.3f}: deadlock of {circle}")
            self.break_off(deadlock)
            raise deadlock
        if seconds is not None:
            self.at(self.now + seconds, self.resume, task, None, None, task.wait)
        task.waits_for = wanted if seconds is None else None
        try:
            return self.park()
        finally:
            task.waits_for = None

    def running(self) -> Task:
        """The task that runs. It is a mistake to ask where none does."""
        assert self.current is not None, "only a task can wait"
        return self.current

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long. Outside any task, the world goes on for so long."""
        task = self.current
        if task is None:
            self.run(max_time=self.now + seconds)
            return
        self.at(self.now + max(seconds, 0.0), self.resume, task, None, None, task.wait)
        self.park()

    def join(self, tasks: Iterable[Task]) -> None:
        """Wait until all of these are done, whatever they raised."""
        for task in tasks:
            if self.current is None:
                self.run(until=lambda task=task: task.done)  # type: ignore[misc]
                continue
            while not task.done:
                task.waiters.append((self.current, self.current.wait))
                self.park()

    # ------------------------------------------------------------ invocations

    def invoke(
        self,
        name: str,
        work: Callable[[], Any],
        *,
        seconds: float,
        impatience: float | None = None,
        environment: Environment | None = None,
    ) -> Any:
        """Run `work` in `environment`, or in a new one, for at most `seconds`; what it returns.

        Raises what it raised; LambdaDied when the environment died or `seconds` were over; TimedOut
        after `impatience` seconds, while it goes on. Outside any task, the world goes on meanwhile.
        """
        if environment is None:
            environment = Environment(name)
        if self.current is None:
            caller = self.spawn(
                lambda: self._invoke(environment, work, seconds, impatience), f"caller of {name}"
            )
            caller.waiters.append((caller, 0))  # its error is ours, not the hub's
            self.run(until=lambda: caller.done)
            return caller.outcome()
        return self._invoke(environment, work, seconds, impatience)

    def _invoke(
        self,
        environment: Environment,
        work: Callable[[], Any],
        seconds: float,
        impatience: float | None,
    ) -> Any:
        me = self.running()
        environment.begin(self.now + seconds, (me, me.wait))
        task = self.spawn(work, environment.name, environment)
        task.waiters.append((me, me.wait))
        self.at(environment.deadline, self._overdue, environment, environment.invocations, task)
        if impatience is not None:
            late = TimedOut(environment.name)
            self.at(self.now + impatience, self.resume, me, None, late, me.wait)
        self.park()
        return task.outcome()

    def _overdue(self, environment: Environment, invocation: int, task: Task) -> None:
        if task.done or environment.dead or environment.invocations != invocation:
            return
        stuck = [each for each in environment.tasks if each.waits_for is not None]
        if stuck and len(stuck) == len(environment.tasks):
            self.break_off(Violation(f"t={self.now:.3f}: {environment.name}: deadlock of {stuck}"))
        self.kill(environment)

    def kill(self, environment: Environment) -> None:
        """Nothing of it runs again, no `except`, no `finally`. Its caller gets LambdaDied."""
        if environment.dead:
            return
        environment.dead = True
        self.environments_died += 1
        if environment.caller is not None:
            waiter, wait = environment.caller
            self.at(self.now, self.resume, waiter, None, LambdaDied(environment.name), wait)

    def remaining(self) -> float:
        """Seconds that the running invocation still has."""
        task = self.current
        if task is None or task.environment is None:
            return OUTSIDE_SECONDS
        return task.environment.deadline - self.now

    def close(self) -> None:
        """End the world: unwind every task that has not ended, without any effect."""
        self._discarding = True
        while self._tasks:
            self.current, _ = self._tasks.popitem()
            task = self.current
            if task.greenlet:
                task.greenlet.throw(Discarded)
            task.error = None  # its frames, with all that they hold
        self.current = None
        self._events.clear()
