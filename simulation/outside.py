"""What a simulated execution environment takes from outside: time, chance, threads, AWS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from runtime.core.outside import AwsClients, Outside
from simulation.environments import Environment
from simulation.scheduler import Scheduler
from simulation.threads import CooperativeLock, GreenletThreads

BEGINNING: Final = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
"""When the virtual clock stands at 0."""
UPTIME_SECONDS: Final = 1_000.0
"""What a monotonic clock says then: it has no meaning of its own."""


def clock(scheduler: Scheduler, skew_seconds: float = 0.0) -> Callable[[], datetime]:
    """A wall clock that is wrong by so much."""
    return lambda: BEGINNING + timedelta(seconds=scheduler.now + skew_seconds)


def outside_for(scheduler: Scheduler, environment: Environment | None, aws: AwsClients) -> Outside:
    """The outside of one environment; None is a process that no fault kills, with a true clock."""
    skew_seconds = 0.0 if environment is None else environment.skew_seconds
    return Outside(
        now=clock(scheduler, skew_seconds),
        monotonic=lambda: UPTIME_SECONDS + scheduler.now,
        sleep=scheduler.sleep,
        chance=Random(scheduler.rng.getrandbits(64)),
        entropy=scheduler.entropy.randbytes,
        threads=lambda most: GreenletThreads(scheduler, environment, most),
        lock=lambda: CooperativeLock(scheduler),
        aws=aws,
    )
