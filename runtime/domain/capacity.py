"""Read and write units, computed from item sizes and indexes.

Sources, all in the DynamoDB Developer Guide: "DynamoDB item sizes and formats", "DynamoDB read and
write operations" (rounding, transactions cost twice), "Using Global Secondary Indexes" (how many
index writes an update of the table causes). Engines that stand in for DynamoDB report some of this
wrongly, transactions above all; here it is computed from what was really written.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

WRITE_UNIT_BYTES: Final = 1024
READ_UNIT_BYTES: Final = 4096
TRANSACTION_FACTOR: Final = 2
"""A transaction prepares and commits each item: two units where a plain request takes one."""
_CONTAINER_BYTES: Final = 3
_ELEMENT_BYTES: Final = 1

Item = Mapping[str, Mapping[str, Any]]
"""An item in DynamoDB's typed JSON: {"id": {"S": "acc_1"}, …}."""


@dataclass(frozen=True, slots=True)
class IndexShape:
    """What decides which writes an index sees. `projected` is None for an ALL projection.

    Otherwise it names every attribute of an entry: the index's keys, the table's, and the rest.
    """

    name: str
    key_names: tuple[str, ...]
    projected: frozenset[str] | None

    def entry(self, item: Item | None) -> Item | None:
        """The item as it stands in the index; None where it lacks one of the index's keys."""
        if item is None or any(name not in item for name in self.key_names):
            return None
        if self.projected is None:
            return item
        return {name: value for name, value in item.items() if name in self.projected}


def item_size(item: Item) -> int:
    """Bytes of an item: the names and values of its attributes."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def table_write_units(before: Item | None, after: Item | None, *, transactional: bool) -> int:
    """Units of writing one row; both None: the write of a row that is not there (a delete)."""
    largest = max((item_size(item) for item in (before, after) if item is not None), default=0)
    return _units(largest, WRITE_UNIT_BYTES) * (TRANSACTION_FACTOR if transactional else 1)


def index_write_units(before: Item | None, after: Item | None, index: IndexShape) -> int:
    """Units that an index takes for one write of the table; an index write is never doubled.

    Nothing where the entry stays as it is; one write to put, change or delete an entry; two where
    the entry moves to another key.
    """
    old, new = index.entry(before), index.entry(after)
    if old == new:
        return 0
    if old is not None and new is not None:
        if all(old[name] == new[name] for name in index.key_names):
            return _units(max(item_size(old), item_size(new)), WRITE_UNIT_BYTES)
        return sum(_units(item_size(each), WRITE_UNIT_BYTES) for each in (old, new))
    return _units(item_size(old or new or {}), WRITE_UNIT_BYTES)


def read_units(size_bytes: int, *, consistent: bool, transactional: bool = False) -> float:
    """Units of reading `size_bytes` in one request: of one item, or of all that a query looked at.

    A row that is not there costs as much as a small one.
    """
    units = _units(size_bytes, READ_UNIT_BYTES)
    if transactional:
        return units * TRANSACTION_FACTOR
    return units if consistent else units / 2


def _units(size: int, unit: int) -> int:
    return max(1, -(-size // unit))


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_size(content)
        case "B":
            return _binary_size(content)
        case "BOOL" | "NULL":
            return 1
        case "SS" | "NS" | "BS":
            return sum(_value_size({kind[0]: member}) for member in content)
        case "L":
            members = sum(_ELEMENT_BYTES + _value_size(member) for member in content)
            return _CONTAINER_BYTES + members
        case "M":
            return _CONTAINER_BYTES + sum(_pairs(content))
    raise ValueError(f"{kind} is no type of DynamoDB's")


def _pairs(content: Item) -> Iterator[int]:
    for name, member in content.items():
        yield _ELEMENT_BYTES + len(name.encode()) + _value_size(member)


def _binary_size(content: bytes | str) -> int:
    """Clients hand bytes over; on the wire they are base64."""
    return len(base64.b64decode(content)) if isinstance(content, str) else len(content)


def _number_size(text: str) -> int:
    """One byte per two significant digits, and one more; a minus sign takes another."""
    mantissa = text.lower().partition("e")[0].lstrip("-+")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    digits = whole.lstrip("0") + fraction if fraction else whole.strip("0")
    size = (len(digits) + 1) // 2 + 1
    return size + 1 if text.startswith("-") else size
