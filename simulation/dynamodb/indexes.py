"""Global secondary indexes: entries sorted by the index's key, some time behind the table."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any, NamedTuple

from simulation.dynamodb.values import Item, Plain, plain

Key = tuple[Plain, ...]
"""The values of an item's own key, partition key first."""
Rank = tuple[Plain, Key]
"""Where an entry stands in its partition: by its sort key, then by the key of its item."""

_NO_SORT_KEY = ""


class _Pending(NamedTuple):
    """What an index has not heard of yet."""

    due: float
    sequence: int
    key: Key
    new: Item | None


class Index:
    """One index of a table, as CreateTable describes it.

    What is written becomes visible once `due` is over, for one item in the order of its writes
    (Developer Guide, "Global secondary indexes": eventually consistent).
    """

    def __init__(self, wanted: Mapping[str, Any], table_keys: tuple[str, ...]) -> None:
        self.name: str = wanted["IndexName"]
        keys = {each["KeyType"]: each["AttributeName"] for each in wanted["KeySchema"]}
        self.partition_key: str = keys["HASH"]
        self.sort_key: str | None = keys.get("RANGE")
        self.key_names = tuple(n for n in (self.partition_key, self.sort_key) if n is not None)
        projection = wanted["Projection"]
        copied = {*self.key_names, *table_keys, *projection.get("NonKeyAttributes", ())}
        self._projected = None if projection["ProjectionType"] == "ALL" else frozenset(copied)
        self.partitions: dict[Plain, list[Rank]] = {}
        self._entries: dict[Key, tuple[Plain, Plain, Item]] = {}
        self._pending: list[_Pending] = []
        self._last_due: dict[Key, float] = {}

    def concerns(self, old: Item | None, new: Item | None) -> bool:
        """Whether a change of an item can change its entry."""
        name = self.partition_key
        return (old is not None and name in old) or (new is not None and name in new)

    def tell(self, due: float, sequence: int, key: Key, new: Item | None) -> None:
        """An item was written, and that shall be visible from `due` on."""
        due = max(due, self._last_due.get(key, due))
        self._last_due[key] = due
        heapq.heappush(self._pending, _Pending(due, sequence, key, new))

    def catch_up(self, now: float) -> None:
        """Make visible what is due."""
        while self._pending and self._pending[0].due <= now:
            due, _, key, new = heapq.heappop(self._pending)
            if self._last_due.get(key) == due:
                del self._last_due[key]
            self._replace(key, new)

    def shown(self, key: Key) -> Item:
        """What the index holds of an item that has an entry."""
        item = self._entries[key][2]
        if self._projected is None:
            return dict(item)
        return {name: value for name, value in item.items() if name in self._projected}

    def _replace(self, key: Key, new: Item | None) -> None:
        partition = sort = None
        if new is not None and all(name in new for name in self.key_names):
            partition = plain(new[self.partition_key])
            sort = _NO_SORT_KEY if self.sort_key is None else plain(new[self.sort_key])
        before = self._entries.get(key)
        if before is not None and (before[0], before[1]) != (partition, sort):
            del self._entries[key]
            ranks = self.partitions[before[0]]
            del ranks[bisect_left(ranks, (before[1], key))]
            if not ranks:
                del self.partitions[before[0]]
            before = None
        if new is None or partition is None:
            return
        if before is None:
            insort(self.partitions.setdefault(partition, []), (sort, key))
        self._entries[key] = (partition, sort, new)
