"""ConsumedCapacity, as AWS documents it; the prices are runtime.dynamodb.capacity's.

Source: DynamoDB API reference, ConsumedCapacity: TOTAL tells the units of each table with its
indexes, INDEXES also what each of them took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.dynamodb.capacity import Consistency, read_units, write_units
from simulation.dynamodb.errors import Unsupported
from simulation.dynamodb.requests import Request
from simulation.dynamodb.sizes import size_of
from simulation.dynamodb.tables import Change, Table
from simulation.dynamodb.values import Item

_NONE: Final = "NONE"
_DETAILS: Final = ("NONE", "TOTAL", "INDEXES")


class Consumed:
    """Units of one request, table by table; nothing is counted unless it is asked for."""

    def __init__(self, request: Request) -> None:
        self._detail = request.get("ReturnConsumedCapacity", _NONE)
        if self._detail not in _DETAILS:
            raise Unsupported(f"ReturnConsumedCapacity={self._detail}")
        self.wanted = self._detail != _NONE
        self._tables: dict[str, Counter[str | None]] = {}

    def write(self, change: Change, *, transactional: bool = False) -> None:
        """A write of one item, or a check of it; also one that its condition refuses."""
        if not self.wanted:
            return
        table = change.table
        units = write_units(change.old, change.new, table.layout, transactional=transactional)
        self._add(table, None, units.table)
        for index, of_index in units.indexes.items():
            self._add(table, index, of_index)

    def read(
        self, table: Table, size: int, consistency: Consistency, index: str | None = None
    ) -> None:
        """A read of so many bytes."""
        if self.wanted:
            self._add(table, index, read_units(size, consistency))

    def read_item(self, table: Table, item: Item | None, consistency: Consistency) -> None:
        """A read of one item, which may not be there."""
        if self.wanted:
            self.read(table, size_of(item or {}), consistency)

    def one(self) -> dict[str, Any]:
        """What the answer to a request for one table has about it."""
        return {"ConsumedCapacity": self._told()[0]} if self.wanted else {}

    def all(self, kind: str | None = None) -> dict[str, Any]:
        """The same for many tables; a transaction says whether it took `Read` or `Write` units."""
        if not self.wanted:
            return {}
        reported = self._told()
        if kind is not None:
            for each in reported:
                each[f"{kind}CapacityUnits"] = each["CapacityUnits"]
        return {"ConsumedCapacity": reported}

    def _add(self, table: Table, index: str | None, units: float) -> None:
        self._tables.setdefault(table.name, Counter())[index] += units  # type: ignore[assignment]

    def _told(self) -> list[dict[str, Any]]:
        return [self._told_of(name, units) for name, units in self._tables.items()]

    def _told_of(self, name: str, units: Mapping[str | None, float]) -> dict[str, Any]:
        reported: dict[str, Any] = {"TableName": name, "CapacityUnits": float(sum(units.values()))}
        if self._detail == "INDEXES":
            reported["Table"] = {"CapacityUnits": float(units.get(None, 0.0))}
            indexes: Sequence[str] = [index for index in units if index is not None]
            if indexes:
                reported["GlobalSecondaryIndexes"] = {
                    index: {"CapacityUnits": float(units[index])} for index in indexes
                }
        return reported


def consistency_of(request: Request) -> Consistency:
    """How a plain read is done."""
    return Consistency.STRONG if request.get("ConsistentRead") else Consistency.EVENTUAL
