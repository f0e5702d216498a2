"""What a function may do with the rows of a table.

A settings model declares it for each table of its function. The function's IAM policies and the
table names in its environment are made from that declaration, so neither can lack a table.

A transaction needs the action of each of its parts (PutItem, UpdateItem, ConditionCheckItem).
BatchWriteItem is not among the actions because its writes take no conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Action = Literal[
    "BatchGetItem",
    "ConditionCheckItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "UpdateItem",
]
KeyedAction = Literal["DeleteItem", "UpdateItem"]
WRITES: Final[frozenset[Action]] = frozenset({"PutItem", "UpdateItem"})


@dataclass(frozen=True, slots=True)
class TableUse:
    """Actions on the rows of one table, the indexes that may be queried, and its change stream."""

    actions: tuple[Action, ...]
    queried_indexes: tuple[str, ...] = ()
    reads_stream: bool = False
    by_key: Mapping[KeyedAction, tuple[str, ...]] = field(default_factory=dict)
    """Actions on some rows only, with the patterns of their partition keys."""
    attributes: tuple[str, ...] = ()
    """The only attributes that may be read; empty means all."""

    @property
    def writes(self) -> bool:
        """Whether any action changes a row."""
        return bool(self.by_key) or not WRITES.isdisjoint(self.actions)


TableUses = Mapping[str, TableUse]
"""What one function may do, by the table's schema name."""


def allow(
    *actions: Action,
    query: tuple[str, ...] = (),
    stream: bool = False,
    delete: tuple[str, ...] = (),
    update: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> TableUse:
    """Allow `actions` on all rows, and queries of the indexes `query`.

    `delete` and `update` allow the action on rows whose partition key matches a pattern; `only`
    limits reads to these attributes.
    """
    keyed: dict[KeyedAction, tuple[str, ...]] = {"DeleteItem": delete, "UpdateItem": update}
    by_key = {action: patterns for action, patterns in keyed.items() if patterns}
    return TableUse(actions, query, stream, by_key, only)


def consumed_streams(uses: TableUses) -> tuple[str, ...]:
    """The tables whose change streams the function consumes."""
    return tuple(name for name, use in uses.items() if use.reads_stream)


def with_progress(uses: TableUses) -> TableUses:
    """`uses`, and writing how far each stream that they read is processed: its own row."""
    return {**uses, "stream_progress": allow(update=consumed_streams(uses))}


def record_run(schedule: str) -> TableUse:
    """Allow writing how a run of `schedule` ended, in the table of scheduled runs: its own row."""
    return allow(update=(schedule,))
