"""Commits made by hand, in the form of the in-memory engine's announcements."""

from __future__ import annotations

from typing import Any, NamedTuple

from boto3.dynamodb.types import TypeSerializer

from runtime.tables import ALL_TABLES
from simulation.watch.watching import CommitWatch

_serialize = TypeSerializer().serialize
KEYS = {schema.name: schema.key_names for schema in ALL_TABLES}


class Table(NamedTuple):
    """A table of the engine, as far as a watch uses it."""

    name: str


class Change(NamedTuple):
    """One row before and after a commit."""

    table: Table
    key: tuple[Any, ...]
    old: dict[str, Any] | None
    new: dict[str, Any] | None


class HandMade:
    """An engine without expressions: rows are written directly."""

    def __init__(self) -> None:
        self.on_commit: list[Any] = []
        self.rows: dict[tuple[str, tuple[Any, ...]], dict[str, Any]] = {}
        self.time = 0.0
        tables = {schema.name: f"t-{schema.name}" for schema in ALL_TABLES}
        self.watch = CommitWatch(lambda: self.time, self, tables, epoch=1_000_000.0, stops=False)
        self.rules = self.watch.rules

    @property
    def found(self) -> list[str]:
        """The violated rules so far, in order."""
        return [finding.rule for finding in self.watch.findings]

    def commit(self, **rows: Any) -> None:
        """Put rows, by table: each a dict of its attributes, or several. None values are omitted.

        Omitted attributes keep their earlier value. A `deleted` row is removed.
        """
        self.time += 1.0
        changes = [
            self._change(table, row)
            for table, given in rows.items()
            for row in (given if isinstance(given, list) else [given])
        ]
        for hear in self.on_commit:
            hear(changes)

    def _change(self, table: str, row: dict[str, Any]) -> Change:
        key = tuple(row[name] for name in KEYS[table])
        old = self.rows.get((table, key))
        if row.get("deleted"):
            del self.rows[table, key]
            return Change(Table(f"t-{table}"), key, old, None)
        given = {name: _serialize(value) for name, value in row.items() if value is not None}
        gone = {name for name, value in row.items() if value is None}
        new = {name: value for name, value in {**(old or {}), **given}.items() if name not in gone}
        self.rows[table, key] = new
        return Change(Table(f"t-{table}"), key, old, new)
