"""What a DynamoDB client's calls cost: round trips, items, and units computed from item sizes.

The rows before and after a write are read through a second client that nobody counts, so units are
right only for one call at a time; trips, items and retries are also right under many threads.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from runtime.domain.capacity import (
    IndexShape,
    Item,
    index_write_units,
    item_size,
    read_units,
    table_write_units,
)
from runtime.table_schema import TableSchema

_PLAIN_WRITES: Final = ("PutItem", "UpdateItem", "DeleteItem")
_CONFLICTS: Final = ("TransactionConflict", "TransactionConflictException")


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table as its cost sees it."""

    name: str
    key_names: tuple[str, ...]
    indexes: tuple[IndexShape, ...]

    @staticmethod
    def of(schema: TableSchema) -> TableShape:
        """The shape of a table that a model declares."""
        shapes = []
        for index in schema.indexes:
            keys = tuple(k.name for k in (index.partition_key, index.sort_key) if k is not None)
            projected = frozenset((*keys, *schema.key_names, *index.projected))
            shapes.append(IndexShape(index.name, keys, projected))
        return TableShape(schema.name, schema.key_names, tuple(shapes))


@dataclass
class Usage:
    """What was used. Units are by table, and by `table/index`."""

    round_trips: int = 0
    items_written: int = 0
    items_read: int = 0
    conflicts: int = 0
    read_units: float = 0.0
    write_units: Counter[str] = field(default_factory=Counter)

    @property
    def all_write_units(self) -> int:
        """Tables and indexes together."""
        return sum(self.write_units.values())

    @property
    def table_write_units(self) -> int:
        """Tables alone, as an engine reports them."""
        return sum(units for name, units in self.write_units.items() if "/" not in name)


class Meter:
    """Counts the calls of a client. `shapes` are by physical name; `spare` is not counted."""

    def __init__(self, client: Any, shapes: Mapping[str, TableShape], spare: Any = None) -> None:
        self.usage = Usage()
        self._shapes, self._spare = shapes, spare
        self._lock = threading.Lock()
        events = client.meta.events
        events.register_last("before-call.dynamodb", self._before)
        events.register_first("after-call.dynamodb", self._after)

    @contextmanager
    def measure(self) -> Iterator[Usage]:
        """Begin again at zero."""
        self.usage = Usage()
        yield self.usage

    def _before(self, model: Any, params: Any, context: Any, **_: Any) -> None:
        request = json.loads(params["body"])
        writes = list(_writes(model.name, request))
        context["meter"] = (request, writes, [self._row(*write[:2]) for write in writes])

    def _after(self, model: Any, parsed: Any, context: Any, http_response: Any, **_: Any) -> None:
        request, writes, before = context.pop("meter", ({}, [], []))
        refused = http_response.status_code >= 300
        with self._lock:
            self.usage.round_trips += 1
            if refused:
                self.usage.conflicts += _is_conflict(parsed)
                return
            self.usage.items_written += len(writes)
        if self._spare is None:
            return
        for (table, holder, is_check), old in zip(writes, before, strict=True):
            self._count_write(table, old, self._row(table, holder), is_check, model.name)
        self._count_read(model.name, request, parsed)

    def _row(self, table: str, holder: Item) -> Item | None:
        if self._spare is None:
            return None
        key = {name: holder[name] for name in self._shapes[table].key_names}
        found: dict[str, Item] = self._spare.get_item(TableName=table, Key=key, ConsistentRead=True)
        return found.get("Item")

    def _count_write(
        self, table: str, old: Item | None, new: Item | None, is_check: bool, operation: str
    ) -> None:
        shape, units = self._shapes[table], self.usage.write_units
        transactional = operation == "TransactWriteItems"
        units[shape.name] += table_write_units(old, new, transactional=transactional)
        if is_check:
            return
        for index in shape.indexes:
            written = index_write_units(old, new, index)
            if written:
                units[f"{shape.name}/{index.name}"] += written

    def _count_read(self, operation: str, request: Mapping[str, Any], parsed: Any) -> None:
        """Of a query or scan what it returned: nothing here filters after reading."""
        usage, consistent = self.usage, bool(request.get("ConsistentRead"))
        if operation == "GetItem":
            row = self._row(request["TableName"], request["Key"])
            usage.items_read += row is not None
            usage.read_units += read_units(item_size(row or {}), consistent=consistent)
        elif operation in ("Query", "Scan"):
            usage.items_read += len(parsed["Items"])
            size = sum(item_size(item) for item in parsed["Items"])
            usage.read_units += read_units(size, consistent=consistent)
        elif operation == "BatchGetItem":
            for table, wanted in request["RequestItems"].items():
                for key in wanted["Keys"]:
                    row = self._row(table, key)
                    usage.items_read += row is not None
                    usage.read_units += read_units(
                        item_size(row or {}), consistent=bool(wanted.get("ConsistentRead"))
                    )
        elif operation == "TransactGetItems":
            for action in request["TransactItems"]:
                row = self._row(action["Get"]["TableName"], action["Get"]["Key"])
                usage.items_read += row is not None
                usage.read_units += read_units(
                    item_size(row or {}), consistent=True, transactional=True
                )


def _writes(operation: str, request: Mapping[str, Any]) -> Iterable[tuple[str, Item, bool]]:
    """Table, key or whole item, and whether it is only a check."""
    if operation in _PLAIN_WRITES:
        yield request["TableName"], request.get("Key") or request["Item"], False
    elif operation == "TransactWriteItems":
        for action in request["TransactItems"]:
            ((kind, body),) = action.items()
            yield body["TableName"], body.get("Key") or body["Item"], kind == "ConditionCheck"


def _is_conflict(parsed: Any) -> bool:
    codes = {reason.get("Code") for reason in parsed.get("CancellationReasons", [])}
    codes.add(parsed.get("Error", {}).get("Code"))
    return not codes.isdisjoint(_CONFLICTS)
