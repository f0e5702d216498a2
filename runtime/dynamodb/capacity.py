"""DynamoDB capacity: item sizes, and the resulting write and read units.

Sources, in the Amazon DynamoDB Developer Guide: "DynamoDB item sizes and formats" (sizes),
"Capacity unit consumption" (units), "Global secondary indexes: write capacity" (entries), "Capacity
management for transactions" (twice the units: prepare and commit). The guide does not say whether
index writes are doubled too. They are not: measured on AWS by nubo-db/dynoxide (pull request 188),
an index entry costs the same inside and outside a transaction, and a ConditionCheck costs as much
as a write of the item (also paritysuite/dynamodb-conformance, pull request 67).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from runtime.dynamodb.table_schema import TableSchema

Item = Mapping[str, Mapping[str, Any]]
"""An item in DynamoDB's typed JSON; binary values raw, or base64 as on the wire."""

WRITE_UNIT_BYTES: Final = 1024
"""A write unit writes an item of up to 1 KB."""
READ_UNIT_BYTES: Final = 4096
"""A read unit reads an item of up to 4 KB, strongly consistent."""
TRANSACTION_FACTOR: Final = 2
"""Each item in a transaction is charged twice: to prepare and to commit."""
_DOCUMENT_BYTES: Final = 3
"""Overhead of a list or map."""
_ELEMENT_BYTES: Final = 1
"""Overhead of each element of a list or map."""
_NUMBERS_REMEMBERED: Final = 4096
"""Numbers whose size is cached: most are versions, counts and shares of round amounts."""


class Consistency(Enum):
    """Consistency of a read; the value is its price in read units per 4 KB."""

    EVENTUAL = 0.5
    STRONG = 1.0
    TRANSACTIONAL = 2.0


# -------------------------------------------------------------------- sizes


def item_size(item: Item) -> int:
    """Size of an item in bytes: UTF-8 names, and values by type."""
    size = 0
    for name, value in item.items():
        text = value.get("S")  # most attributes are strings
        size += len(name.encode()) + (value_size(value) if text is None else len(text.encode()))
    return size


def value_size(value: Mapping[str, Any]) -> int:
    """Size of a typed attribute value in bytes. Raises ValueError for an unknown type."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return number_size(content)
        case "B":
            return _binary_size(content)
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(member.encode()) for member in content)
        case "NS":
            return sum(number_size(member) for member in content)
        case "BS":
            return sum(_binary_size(member) for member in content)
        case "L":
            return _DOCUMENT_BYTES + sum(_ELEMENT_BYTES + value_size(each) for each in content)
        case "M":
            return _DOCUMENT_BYTES + _ELEMENT_BYTES * len(content) + item_size(content)
    raise ValueError(f"DynamoDB has no attribute type {kind}")


@lru_cache(maxsize=_NUMBERS_REMEMBERED)
def number_size(number: str) -> int:
    """Size of a number in bytes: one, one per two significant digits, and one if negative.

    Pairs of digits are counted from the decimal point; leading and trailing zeros do not count.
    """
    digits, _, exponent = number.lower().lstrip("+-").partition("e")
    whole, _, fraction = digits.partition(".")
    power = int(exponent or 0) - len(fraction)
    significant = (whole + fraction).lstrip("0")
    kept = significant.rstrip("0")
    if not kept:
        return 1
    power += len(significant) - len(kept)
    length = len(kept) + power % 2
    return 1 + (length + 1) // 2 + number.startswith("-")


def _binary_size(content: bytes | str) -> int:
    return len(base64.b64decode(content)) if isinstance(content, str) else len(content)


# -------------------------------------------------------------------- layouts


@dataclass(frozen=True, slots=True)
class IndexLayout:
    """A secondary index: its key and projected attributes (None: all)."""

    name: str
    key_names: tuple[str, ...]
    projected: frozenset[str] | None

    def entry(self, item: Item | None) -> Item | None:
        """The index entry of `item`; None if a key attribute is missing."""
        if item is None or any(name not in item for name in self.key_names):
            return None
        if self.projected is None:
            return item
        return {name: value for name, value in item.items() if name in self.projected}


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The keys and indexes of a table, which determine its items' units."""

    key_names: tuple[str, ...]
    indexes: tuple[IndexLayout, ...] = ()

    @staticmethod
    def of(schema: TableSchema) -> TableLayout:
        """The layout that a model declares."""
        indexes = []
        for index in schema.indexes:
            keys = (index.partition_key, index.sort_key)
            names = tuple(key.name for key in keys if key is not None)
            copied = frozenset({*names, *schema.key_names, *index.projected})
            indexes.append(IndexLayout(index.name, names, copied))
        return TableLayout(schema.key_names, tuple(indexes))

    @staticmethod
    def described(table: Mapping[str, Any]) -> TableLayout:
        """The layout from a DescribeTable response."""
        own = _names(table["KeySchema"])
        indexes = []
        for index in _secondary_indexes(table):
            names, projection = _names(index["KeySchema"]), index["Projection"]
            copied = frozenset({*names, *own, *projection.get("NonKeyAttributes", ())})
            everything = projection["ProjectionType"] == "ALL"
            indexes.append(IndexLayout(index["IndexName"], names, None if everything else copied))
        return TableLayout(own, tuple(indexes))

    def index(self, name: str) -> IndexLayout:
        """The index named `name`. Raises KeyError."""
        for index in self.indexes:
            if index.name == name:
                return index
        raise KeyError(name)


def _secondary_indexes(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        yield from table.get(kind) or ()


def _names(key_schema: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(key["AttributeName"] for key in key_schema)


# -------------------------------------------------------------------- units


@dataclass(frozen=True, slots=True)
class WriteUnits:
    """Write units of one write: for the table, and for each index it changes."""

    table: int
    indexes: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The sum over table and indexes."""
        return self.table + sum(self.indexes.values())


def write_units(
    before: Item | None, after: Item | None, layout: TableLayout, *, transactional: bool
) -> WriteUnits:
    """The cost of turning `before` into `after`; None is a missing item.

    The same item twice gives the cost of a condition check (in a transaction) or a failed write.
    """
    size = max(item_size(before or {}), item_size(after or {}))
    factor = TRANSACTION_FACTOR if transactional else 1
    entries = {
        index.name: _entry_units(index, index.entry(before), index.entry(after))
        for index in layout.indexes
    }
    changed = {name: units for name, units in entries.items() if units}
    return WriteUnits(factor * _write_units_of(size), changed)


def _entry_units(index: IndexLayout, before: Item | None, after: Item | None) -> int:
    if before == after:
        return 0
    if before is None or after is None:
        return _write_units_of(item_size(before or after or {}))
    if any(before[name] != after[name] for name in index.key_names):
        # An entry cannot move: it is deleted at its old key and put at the new one.
        return _write_units_of(item_size(before)) + _write_units_of(item_size(after))
    return _write_units_of(max(item_size(before), item_size(after)))


def _write_units_of(size: int) -> int:
    return max(1, -(-size // WRITE_UNIT_BYTES))


def read_units(size: int, consistency: Consistency) -> float:
    """The cost of reading `size` bytes: of one item, or the sum over a Query.

    An empty result costs as much as the smallest item.
    """
    return consistency.value * max(1, -(-size // READ_UNIT_BYTES))
