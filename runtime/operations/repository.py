"""The tables of scheduled runs and of stream progress: a row for each schedule and stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.expressions import (
    Update,
    absent,
    any_of,
    at_least,
    at_most,
    below,
    equals,
    update,
)
from runtime.dynamodb.store import Store
from runtime.operations.models import ScheduledRun, StreamProgress

FAILURE_KEPT: Final = timedelta(minutes=2)
"""For so long after its last attempt a failed batch is not replaced by a good one of another shard.
Each retry that fails renews it. Lambda does not document how far apart retries are; this allows for
a minute, and another one for the longest run of the projector."""


class ScheduledRunRepository:
    """The scheduled_runs table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, run: ScheduledRun) -> None:
        """Replace the schedule's row, unless a run that started later has ended already."""
        written = run.model_dump(mode="json", exclude={"name"})
        removed = tuple(name for name, value in written.items() if value is None)
        assigned = {name: value for name, value in written.items() if value is not None}
        newest = any_of(absent("started_at"), at_most("started_at", run.started_at))
        self._store.update_alone(
            Update(ScheduledRun.table_schema, {"name": run.name}, assigned, removed, newest)
        )

    def get_many(self, names: Sequence[str]) -> dict[str, ScheduledRun]:
        """The last runs by the schedule's name; those that have not run yet are left out."""
        keys = [{"name": name} for name in names]
        if not keys:
            return {}
        found = self._store.get_many(ScheduledRun, keys, ScheduledRun, UNRESTRICTED)
        return {run.name: run for run in found}


class StreamProgressRepository:
    """The stream_progress table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, progress: StreamProgress, begins_with: str) -> None:
        """Replace the stream's row by the progress of a batch that begins with this record.

        Of several shards the last one is kept. But a failed batch stays until its retry, which
        begins with the failed record, until an older record fails, or until FAILURE_KEPT is over.
        """
        forgotten = to_timestamp(to_datetime(progress.noted_at) - FAILURE_KEPT)
        replaceable = [
            absent("failed_record"),
            equals("failed_record", begins_with),
            below("noted_at", forgotten),
        ]
        row = update(StreamProgress, {"name": progress.name}).assign(
            noted_at=progress.noted_at, record_at=progress.record_at
        )
        if progress.failed_record is None:
            row = replace(row, removed=("failed_record",))
        else:
            row = row.assign(failed_record=progress.failed_record)
            replaceable.append(at_least("record_at", progress.record_at))
        self._store.update_alone(row.when(any_of(*replaceable)))

    def get_many(self, names: Sequence[str]) -> dict[str, StreamProgress]:
        """The streams' rows by name; those that have had no batch yet are left out."""
        keys = [{"name": name} for name in names]
        if not keys:
            return {}
        found = self._store.get_many(StreamProgress, keys, StreamProgress, UNRESTRICTED)
        return {progress.name: progress for progress in found}
