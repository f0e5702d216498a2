"""The table of scheduled runs: a row for each schedule."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.expressions import Update, absent, any_of, at_most
from runtime.dynamodb.store import Store
from runtime.operations.models import ScheduledRun


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
