"""What a write does once it is decided: tables, indexes, streams, and whoever looks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulation.dynamodb.indexes import Key
from simulation.dynamodb.streams import StreamEntry
from simulation.dynamodb.tables import Change, Table
from simulation.dynamodb.values import Item

Place = tuple[str, Key]
"""An item, by the name of its table and its key."""


class Commits:
    """The one way in which items change; `now` in seconds, `index_lag` of each single change.

    An eventually consistent read lags as much as an index may.
    """

    def __init__(self, now: Callable[[], float], index_lag: Callable[[], float]) -> None:
        self.now = now
        self._index_lag = index_lag
        self._sequence = 0
        self.locks: dict[Place, Any] = {}
        """The transaction that is at work on an item."""
        self.on_commit: list[Callable[[list[Change]], None]] = []
        self.on_record: list[Callable[[Table, StreamEntry], None]] = []

    def eventually(self, table: Table, key: Key) -> Item | None:
        """An item as an eventually consistent read has it: perhaps as before its last change."""
        if key in table.replaced:
            since, old = table.replaced[key]
            if self.now() < since + self._index_lag():
                return old
        return table.items.get(key)

    def commit(self, changes: list[Change], *, by_expiry: bool = False) -> None:
        """Apply all of them, and tell those who look on."""
        self.apply(changes, by_expiry=by_expiry)
        self.tell(changes)

    def tell(self, changes: list[Change]) -> None:
        """Notify the observers of a decided commit; reads alone do not count as one."""
        for listener in self.on_commit if changes else ():
            listener(changes)

    def apply(self, changes: Sequence[Change], *, by_expiry: bool = False) -> None:
        """Let the changes be seen. What changes nothing leaves no trace (Developer Guide, Streams).

        Source: "Change data capture for DynamoDB Streams": an operation that does not change any
        data writes no stream record.
        """
        now = self.now()
        for change in changes:
            table, key, old, new = change
            if new is old or new == old:
                continue
            self._sequence += 1
            size = table.sizes.get(key, 0)
            table.store(key, new)
            size += table.sizes.get(key, 0)
            table.replaced[key] = (now, old)
            for index in table.indexes.values():
                if index.concerns(old, new):
                    index.tell(now + self._index_lag(), self._sequence, key, new)
            if table.stream is not None:
                entry = StreamEntry(self._sequence, key, old, new, size, now, by_expiry)
                table.stream.append(entry)
                for listener in self.on_record:
                    listener(table, entry)
