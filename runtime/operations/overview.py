"""Puts together what operators see at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.operations.api import (
    DeadLettersAnswer,
    OperationsAnswer,
    ScheduleAnswer,
    StreamAnswer,
)
from runtime.operations.dead_letters import DeadLetterQueues
from runtime.operations.models import ScheduledRun, StreamProgress
from runtime.operations.repository import ScheduledRunRepository, StreamProgressRepository

LATE_AFTER: Final = timedelta(minutes=35)
"""How long after its time a run may end: EventBridge delivers it for 10 minutes, Lambda queues it
for 10 (stacks/constructs/schedule.py), and runs it for 15 at the most."""
LAG_LIMIT: Final = timedelta(minutes=1)
"""A stream is late whose oldest change waited for longer, beyond the time for which a batch fills.
"""
LATE_FOR: Final = timedelta(minutes=5)
"""For so long a batch that was behind makes its stream late: one that is still behind has had
another batch since then."""


@dataclass(frozen=True, slots=True)
class OperationsReads:
    """Dependencies of the overview.

    `schedules`: minutes between two runs, by name. `streams`: seconds for which a batch waits to
    fill, by the table's name.
    """

    runs: ScheduledRunRepository
    progress: StreamProgressRepository
    queues: DeadLetterQueues
    schedules: Mapping[str, int]
    streams: Mapping[str, int]
    outside: Outside


def get_operations(deps: OperationsReads) -> OperationsAnswer:
    """The last runs of schedules, the progress of streams, and what waits in dead letters."""
    counts = deps.queues.counts()
    names, tables = sorted(deps.schedules), sorted(deps.streams)
    runs, progress = deps.runs.get_many(names), deps.progress.get_many(tables)
    now = deps.outside.now()
    return OperationsAnswer(
        as_of=to_timestamp(now),
        schedules=tuple(
            schedule_answer(name, deps.schedules[name], runs.get(name), now) for name in names
        ),
        streams=tuple(
            stream_answer(table, deps.streams[table], progress.get(table), now) for table in tables
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


def stream_answer(
    name: str, window_seconds: int, progress: StreamProgress | None, now: datetime
) -> StreamAnswer:
    """A stream whose batches wait `window_seconds` to fill, with its last note."""
    if progress is None:
        return StreamAnswer(
            name=name, last_batch_at=None, lag_seconds=None, failing=None, late=None
        )
    noted_at, failing = to_datetime(progress.noted_at), progress.failed_record is not None
    lag = (now if failing else noted_at) - to_datetime(progress.record_at)
    behind = lag > LAG_LIMIT + timedelta(seconds=window_seconds)
    return StreamAnswer(
        name=name,
        last_batch_at=progress.noted_at,
        lag_seconds=max(0, int(lag.total_seconds())),
        failing=failing,
        late=failing or (behind and now - noted_at <= LATE_FOR),
    )
