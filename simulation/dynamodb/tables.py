"""Tables: items by key, sorted within their partition, with indexes, a stream and an expiry."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from zlib import crc32

from runtime.dynamodb.capacity import TableLayout
from simulation.dynamodb.errors import invalid
from simulation.dynamodb.indexes import Index, Key
from simulation.dynamodb.sizes import MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES, size_of
from simulation.dynamodb.streams import Stream
from simulation.dynamodb.values import Item, Plain, Value, canonical_item, plain

HASHES: Final = 1 << 32
"""Scan goes through the partitions in the order of a hash of their keys, of so many values."""

_WRONG_KEY: Final = "The provided key element does not match the schema"
_NO_EMPTY: Final = "The AttributeValue for a key attribute cannot contain an empty string value."
_NOT_VALID: Final = "One or more parameter values are not valid."
_INVALID: Final = "One or more parameter values were invalid:"


class Change(NamedTuple):
    """What a commit has done to one item; None is an item that is not there."""

    table: Table
    key: Key
    old: Item | None
    new: Item | None


class Table:
    """One table. `items` are as stored; they are replaced, never changed."""

    def __init__(self, wanted: Mapping[str, Any], arn: str) -> None:
        self.name: str = wanted["TableName"]
        self.arn = arn
        self.wanted = wanted
        keys = {each["KeyType"]: each["AttributeName"] for each in wanted["KeySchema"]}
        self.partition_key: str = keys["HASH"]
        self.sort_key: str | None = keys.get("RANGE")
        self.key_names = tuple(n for n in (self.partition_key, self.sort_key) if n is not None)
        definitions = wanted["AttributeDefinitions"]
        self.types: dict[str, str] = {
            each["AttributeName"]: each["AttributeType"] for each in definitions
        }
        indexes = (Index(each, self.key_names) for each in wanted.get("GlobalSecondaryIndexes", ()))
        self.indexes = {index.name: index for index in indexes}
        self._index_keys = _index_keys(self.indexes.values())
        self.layout = TableLayout.described(wanted)
        self.items: dict[Key, Item] = {}
        self.replaced: dict[Key, tuple[float, Item | None]] = {}
        """When an item changed last, and what it was before."""
        self.sizes: dict[Key, int] = {}
        """Bytes of each item."""
        self.largest = 0
        """Bytes of the largest item that was ever stored."""
        self.partitions: dict[Plain, list[Key]] = {}
        self.order: list[tuple[int, Plain]] = []
        """Every partition, by the hash of its key."""
        enabled = wanted.get("StreamSpecification", {}).get("StreamEnabled", False)
        self.stream = Stream(f"{arn}/stream/1970-01-01T00:00:00.000") if enabled else None
        self._expiry: str | None = None
        self._expiring: list[tuple[float, Key]] = []

    # ------------------------------------------------------------ keys

    def key(self, given: Mapping[str, Value]) -> Key:
        """The key that a read names an item by. Raises ValidationException."""
        kept = canonical_item(given)
        fault = self.key_fault(kept, whole=True)
        if fault:
            raise invalid(fault)
        return self.key_of(kept)

    def key_fault(self, holder: Item, *, whole: bool) -> str | None:
        """Why this is not a valid key of the table, or, if it is `whole`, not a valid item."""
        if whole and len(holder) != len(self.key_names):
            return _WRONG_KEY
        for name in self.key_names:
            value = holder.get(name)
            if value is None:
                return _WRONG_KEY if whole else f"{_INVALID} Missing the key {name} in the item"
            if self.types[name] not in value:
                return _WRONG_KEY if whole else f"{_INVALID} Type mismatch for key {name}"
        return None

    def key_of(self, holder: Item) -> Key:
        """The key in an item that has one. Raises ValidationException for an empty value."""
        key = tuple([plain(holder[name]) for name in self.key_names])
        if "" in key or b"" in key:
            name = self.key_names[0 if key[0] in ("", b"") else 1]
            raise invalid(f"{_NOT_VALID} {_NO_EMPTY} Key: {name}")
        return key

    def judge_key_size(self, key: Key) -> None:
        """Raises ValidationException for a key that is too long."""
        for value, most in zip(key, (MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES), strict=False):
            if _is_longer(value, most):
                raise invalid(
                    f"{_INVALID} Hash primary key values must be under {MAX_PARTITION_KEY_BYTES} "
                    f"bytes, and range primary key values must be under {MAX_SORT_KEY_BYTES} bytes"
                )

    def judge_index_types(self, item: Item) -> None:
        """Raises ValidationException for an attribute that is of another type in an index's key."""
        for name in self._index_keys:
            value = item.get(name)
            if value is not None and self.types[name] not in value:
                raise invalid(f"{_INVALID} Type mismatch for Index Key {name}")

    def judge_index_values(self, item: Item) -> None:
        """Raises ValidationException for what is empty, or too long, for an index's key."""
        for name, most in self._index_keys.items():
            value = item.get(name)
            if value is None or self.types[name] not in value:
                continue
            content = plain(value)
            if content in ("", b""):
                raise invalid(
                    f"{_NOT_VALID} A value specified for a secondary index key is not supported. "
                    f"{_NO_EMPTY} IndexKey: {name}"
                )
            if _is_longer(content, most):
                raise invalid(f"{_INVALID} Size limit exceeded for the index key {name}")

    # ------------------------------------------------------------ items

    def store(self, key: Key, new: Item | None) -> None:
        """Replace the item at `key`; None deletes it."""
        if new is None:
            self._delete(key)
            return
        if key not in self.items:
            self._insert(key)
        self.items[key] = new
        self.sizes[key] = size = size_of(new)
        self.largest = max(self.largest, size)
        if self._expiry is not None:
            self._note_expiry(key, new)

    def _insert(self, key: Key) -> None:
        partition = self.partitions.get(key[0])
        if partition is None:
            self.partitions[key[0]] = [key]
            insort(self.order, (hash_of(key[0]), key[0]))
        else:
            insort(partition, key)

    def _delete(self, key: Key) -> None:
        if self.items.pop(key, None) is None:
            return
        del self.sizes[key]
        partition = self.partitions[key[0]]
        del partition[bisect_left(partition, key)]
        if not partition:
            del self.partitions[key[0]]
            del self.order[bisect_left(self.order, (hash_of(key[0]), key[0]))]

    # ------------------------------------------------------------ expiry

    def expire_by(self, attribute: str | None) -> None:
        """From now on items are deleted some time after the second that `attribute` names."""
        self._expiry, self._expiring = attribute, []
        for key in sorted(self.items):
            self._note_expiry(key, self.items[key])

    def expired(self, second: float) -> list[Key]:
        """Items whose time was over before that second of Unix time; each is returned once."""
        found = []
        while self._expiring and self._expiring[0][0] < second:
            due, key = heapq.heappop(self._expiring)
            item = self.items.get(key)
            if item is not None and self._expiry_of(item) == due:
                found.append(key)
        return found

    def not_expired(self, key: Key) -> None:
        """An item could not be deleted just now: it is returned again."""
        self._note_expiry(key, self.items[key])

    def _note_expiry(self, key: Key, item: Item) -> None:
        due = self._expiry_of(item)
        if due is not None:
            heapq.heappush(self._expiring, (due, key))

    def _expiry_of(self, item: Item) -> float | None:
        value = item.get(self._expiry or "", {}).get("N")
        return None if value is None else float(value)


def hash_of(partition: Plain) -> int:
    """Where Scan meets a partition: the same in every process."""
    return crc32(partition if isinstance(partition, bytes) else str(partition).encode())


def _is_longer(value: Plain, most: int) -> bool:
    if isinstance(value, str):
        return len(value) * 4 > most and len(value.encode()) > most
    return isinstance(value, bytes) and len(value) > most


def _index_keys(indexes: Any) -> dict[str, int]:
    """The key attributes of all indexes, and how long each may be."""
    most: dict[str, int] = {}
    for index in indexes:
        most.setdefault(index.partition_key, MAX_PARTITION_KEY_BYTES)
        if index.sort_key is not None:
            most[index.sort_key] = MAX_SORT_KEY_BYTES
    return most
