"""What runs in the simulation: tasks, each a greenlet with a context of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from simulation.environments import Environment

__all__ = [
    "Discarded",
    "LambdaDied",
    "Task",
    "TimedOut",
    "Violation",
    "current_greenlet",
]


class Violation(AssertionError):
    """What must always hold does not. Ends the run."""


class LambdaDied(BaseException):
    """Raised at the caller of a function whose execution environment died.

    A BaseException, so that no handler of the platform takes it for an error of its own.
    """


class TimedOut(BaseException):
    """The caller has waited for too long. What it has asked for may still be done."""


class Discarded(GreenletExit):  # type: ignore[misc]
    """Unwinds a task of a dead environment once the world has ended; nothing it does counts."""


class Waits(Protocol):
    """What a task can wait for that only another task of its environment can give."""

    def held_by(self) -> Task | None:
        """The task that has to go on first; None where there is none yet."""
        ...


class Task:
    """One line of work. It may belong to an environment and die with it."""

    __slots__ = (
        "done",
        "environment",
        "error",
        "greenlet",
        "name",
        "value",
        "wait",
        "waiters",
        "waits_for",
    )

    def __init__(
        self,
        name: str,
        environment: Environment | None,
        body: Callable[[Any], None],
        hub: greenlet,
    ) -> None:
        self.name = name
        self.environment = environment
        self.greenlet = greenlet(body, parent=hub)
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.wait = 0
        """Counts what it has waited for: who resumes it says which of these waits is over."""
        self.waiters: list[tuple[Task, int]] = []
        self.waits_for: Waits | None = None

    def __repr__(self) -> str:
        return f"Task({self.name!r}{', done' if self.done else ''})"

    def outcome(self) -> Any:
        """What the work returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value

    def deadlocked_with(self, wanted: Waits) -> list[Task]:
        """The tasks that wait for each other in a circle if this one waits for `wanted`, or []."""
        circle = [self]
        holder = wanted.held_by()
        while holder is not None:
            if holder is self:
                return circle
            if holder in circle or holder.waits_for is None:
                return []
            circle.append(holder)
            holder = holder.waits_for.held_by()
        return []


def current_greenlet() -> greenlet:
    """The greenlet that runs."""
    return getcurrent()
