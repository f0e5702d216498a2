"""Puts together what operators see at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.operations.api import DeadLettersAnswer, OperationsAnswer, ScheduleAnswer
from runtime.operations.dead_letters import DeadLetterQueues
from runtime.operations.models import ScheduledRun
from runtime.operations.repository import ScheduledRunRepository

LATE_AFTER: Final = timedelta(minutes=35)
"""How long after its time a run may end: EventBridge delivers it for 10 minutes, Lambda queues it
for 10 (stacks/constructs/schedule.py), and runs it for 15 at the most."""


@dataclass(frozen=True, slots=True)
class OperationsReads:
    """Dependencies of the overview. `schedules`: minutes between two runs, by name."""

    runs: ScheduledRunRepository
    queues: DeadLetterQueues
    schedules: Mapping[str, int]
    outside: Outside


def get_operations(deps: OperationsReads) -> OperationsAnswer:
    """The last run of each schedule, and the messages in each dead-letter queue."""
    counts = deps.queues.counts()
    names = sorted(deps.schedules)
    runs, now = deps.runs.get_many(names), deps.outside.now()
    return OperationsAnswer(
        as_of=to_timestamp(now),
        schedules=tuple(
            schedule_answer(name, deps.schedules[name], runs.get(name), now) for name in names
        ),
        dead_letters=tuple(
            DeadLettersAnswer(queue=name, messages=counts[name]) for name in sorted(counts)
        ),
    )


def schedule_answer(
    name: str, minutes: int, run: ScheduledRun | None, now: datetime
) -> ScheduleAnswer:
    """A schedule that runs every `minutes`, with its last run."""
    every = timedelta(minutes=minutes)
    if run is None:
        return ScheduleAnswer(
            name=name,
            every_seconds=int(every.total_seconds()),
            last_started_at=None,
            last_ended_at=None,
            outcome=None,
            error=None,
            run_id=None,
            late=None,
        )
    return ScheduleAnswer(
        name=name,
        every_seconds=int(every.total_seconds()),
        last_started_at=run.started_at,
        last_ended_at=run.ended_at,
        outcome=run.outcome,
        error=run.error,
        run_id=run.run_id,
        late=now > to_datetime(run.started_at) + every + LATE_AFTER,
    )
