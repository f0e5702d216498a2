"""Points within a run at which clients wait until the world has come to rest and was checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulation.scheduler import Scheduler
from simulation.tasks import Task


class Pauses:
    """Pauses `after` so many operations each; `done` counts those that were begun."""

    def __init__(self, scheduler: Scheduler, after: Sequence[int], done: Callable[[], int]) -> None:
        self._scheduler, self._done = scheduler, done
        self._after = list(after)
        self._waiting: list[tuple[Task, int]] = []

    @property
    def waiting(self) -> int:
        """How many tasks wait for the present pause to end."""
        return len(self._waiting)

    def wait_if_due(self) -> None:
        """Let a task wait until `go_on`, if enough operations were begun."""
        if self._after and self._done() >= self._after[0]:
            task = self._scheduler.running()
            self._waiting.append((task, task.wait))
            self._scheduler.park()

    def go_on(self) -> None:
        """End the present pause, and those that are due by now."""
        while self._after and self._done() >= self._after[0]:
            self._after.pop(0)
        waiting, self._waiting = self._waiting, []
        for task, wait in waiting:
            self._scheduler.at(self._scheduler.now, self._scheduler.resume, task, None, None, wait)
