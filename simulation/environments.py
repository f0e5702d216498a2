"""Execution environments of Lambda, and functions that keep them warm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from simulation.scheduler import Scheduler
    from simulation.tasks import Task

MAX_WARM: Final = 64
"""Idle environments that a function keeps."""


class Environment:
    """One execution environment: what runs in it shares memory and a clock, and dies together."""

    __slots__ = (
        "caller",
        "dead",
        "deadline",
        "invocations",
        "name",
        "skew_seconds",
        "tasks",
    )

    def __init__(self, name: str, skew_seconds: float = 0.0) -> None:
        self.name = name
        self.skew_seconds = skew_seconds
        """How much its clock is ahead."""
        self.dead = False
        self.deadline = float("inf")
        """Virtual time at which Lambda stops the running invocation."""
        self.invocations = 0
        self.caller: tuple[Task, int] | None = None
        """Who waits for the running invocation."""
        self.tasks: dict[Task, None] = {}
        """What runs in it, in the order in which it began."""

    def __repr__(self) -> str:
        return f"Environment({self.name!r}{', dead' if self.dead else ''})"

    def begin(self, deadline: float, caller: tuple[Task, int]) -> None:
        """The next invocation begins."""
        assert not self.dead, f"{self.name} is dead"
        self.deadline, self.caller = deadline, caller
        self.invocations += 1


@dataclass(frozen=True, slots=True)
class SimulatedContext:
    """What the platform reads of Lambda's context object."""

    function_name: str
    aws_request_id: str
    _scheduler: Scheduler
    memory_limit_in_mb: int = 1024

    @property
    def invoked_function_arn(self) -> str:
        """The ARN of the function's alias."""
        return f"arn:aws:lambda:eu-west-1:000000000000:function:{self.function_name}:live"

    @property
    def function_version(self) -> str:
        """There is one."""
        return "1"

    def get_remaining_time_in_millis(self) -> int:
        """How long the invocation may still run."""
        return max(int(self._scheduler.remaining() * 1000), 0)


class Handler(Protocol):
    """A Lambda handler."""

    def __call__(self, event: Any, context: Any, /) -> Any:
        """Answer an event."""
        ...


Build = Callable[[Environment], Handler]
"""Makes a handler with everything that it is built from, for one environment."""


class LambdaFunction:
    """A function: it runs in environments that stay warm, one invocation at a time in each.

    `build` is called in each new environment, as its first invocation begins. `seconds` is the
    function's timeout. What a handler asserts in vain breaks the run off: it is a defect.
    """

    def __init__(self, scheduler: Scheduler, name: str, build: Build, *, seconds: float) -> None:
        self._scheduler = scheduler
        self.name = name
        self.seconds = seconds
        self._build = build
        self._version = 1
        self._warm: list[_Warm] = []
        self.cold_starts = 0
        self.invocations = 0
        self.raised: Counter[str] = Counter()
        """Errors that the handler itself has ended with, by their class."""

    def invoke(self, event: Mapping[str, Any], *, impatience: float | None = None) -> Any:
        """The handler's answer. Raises what it raised, LambdaDied and TimedOut."""
        scheduler = self._scheduler
        warm = self._taken()
        self.invocations += 1
        context = SimulatedContext(self.name, f"{self.name}-{self.invocations}", scheduler)

        def work() -> Any:
            if warm.handler is None:
                warm.handler = warm.build(warm.environment)
            try:
                return warm.handler(event, context)
            except Exception as error:
                self.raised[type(error).__name__] += 1
                if isinstance(error, AssertionError):
                    scheduler.break_off(error)
                raise
            finally:
                self._give_back(warm)

        return scheduler.invoke(
            self.name,
            work,
            seconds=self.seconds,
            impatience=impatience,
            environment=warm.environment,
        )

    def deploy(self, build: Build) -> None:
        """New environments are made by `build`; those that are warm may serve for some time yet."""
        self._build = build
        self._version += 1

    def kill_warm(self) -> None:
        """The next invocations meet new environments only."""
        self._warm.clear()

    def _taken(self) -> _Warm:
        scheduler, rng = self._scheduler, self._scheduler.rng
        while self._warm:
            warm = self._warm.pop(rng.randrange(len(self._warm)))
            outdated = warm.version != self._version and rng.random() < 0.5
            if outdated or (scheduler.rates.cold and rng.random() < scheduler.rates.cold):
                continue
            return warm
        self.cold_starts += 1
        skew = scheduler.rates.skew_seconds
        environment = Environment(
            f"{self.name}#{self.cold_starts}", rng.uniform(-skew, skew) if skew else 0.0
        )
        return _Warm(environment, self._build, self._version)

    def _give_back(self, warm: _Warm) -> None:
        if not warm.environment.dead and len(self._warm) < MAX_WARM:
            self._warm.append(warm)


class _Warm:
    """An environment, with what was built in it."""

    __slots__ = ("build", "environment", "handler", "version")

    def __init__(self, environment: Environment, build: Build, version: int) -> None:
        self.environment, self.build, self.version = environment, build, version
        self.handler: Handler | None = None
