"""Meters a DynamoDB client: calls are counted, and priced by runtime.dynamodb.capacity.

Engines that stand in for DynamoDB report little about capacity, or wrong values; so the units are
computed from the items before and after each call.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from runtime.dynamodb.capacity import (
    Consistency,
    Item,
    TableLayout,
    WriteUnits,
    item_size,
    read_units,
    write_units,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PLAIN_WRITES: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
PAGED_READS: Final = frozenset({"Query", "Scan"})
ITEM_OPERATIONS: Final = frozenset(
    {"TransactWriteItems", "GetItem", "BatchGetItem", "TransactGetItems", *PLAIN_WRITES}
    | PAGED_READS
)
_NOT_METERED: Final = frozenset(
    {"BatchWriteItem", "ExecuteStatement", "ExecuteTransaction", "BatchExecuteStatement"}
)
_CONFLICTS: Final = frozenset({"TransactionConflict", "TransactionConflictException"})
_REFUSED: Final = "ConditionalCheckFailedException"
_NARROWED: Final = ("ProjectionExpression", "FilterExpression", "Select")
"""Parameters that make a Query return less than it reads and is charged for."""
_PLACEHOLDER: Final = re.compile(r"[#:]\w+")


class NotMetered(Exception):
    """A call whose units this meter would count incorrectly."""


@dataclass(frozen=True, slots=True)
class ItemWrite:
    """One item of one round trip: its bytes before and after, and what its write cost."""

    round_trip: int
    table: str
    bytes_before: int
    bytes_after: int
    units: WriteUnits


@dataclass
class Traffic:
    """Counts round trips, items and conflicts of any number of clients at once; cheap."""

    round_trips: int = 0
    items_written: int = 0
    items_read: int = 0
    conflicts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def attach(self, client: DynamoDBClient) -> None:
        """Count all further calls of `client`."""
        events = client.meta.events
        events.register("provide-client-params.dynamodb.*", self._asked)
        events.register("after-call.dynamodb.*", self._answered)

    def count(
        self, operation: str, request: Mapping[str, Any], response: Mapping[str, Any]
    ) -> None:
        """Count one call of a client that has no events."""
        model, context = SimpleNamespace(name=operation), dict[str, Any]()
        self._asked(request, model, context)
        self._answered(response, context)

    def reset(self) -> None:
        """Reset to zero."""
        with self._lock:
            self.round_trips = self.items_written = self.items_read = self.conflicts = 0

    def _asked(self, params: Mapping[str, Any], model: Any, context: Any, **_: Any) -> None:
        if model.name == "TransactWriteItems":
            context["writes"] = sum("ConditionCheck" not in a for a in params["TransactItems"])
        elif model.name in PLAIN_WRITES:
            context["writes"] = 1

    def _answered(self, parsed: Mapping[str, Any], context: Any, **_: Any) -> None:
        code = parsed.get("Error", {}).get("Code")
        writes = 0 if code else context.get("writes", 0)
        conflict = any(reason in _CONFLICTS for reason in _reasons(parsed, code))
        with self._lock:
            self.round_trips += 1
            self.items_written += writes
            self.items_read += 0 if code else _items_in(parsed)
            self.conflicts += conflict


@dataclass
class Meter:
    """Counts the round trips of one client at a time, and their cost.

    `reader` is another client of the same engine: the items before and after each call are read
    through it. A transaction that is canceled counts as a round trip and as no units: AWS reports
    none for it. A plain write that its condition refuses is charged, as AWS documents.
    """

    reader: DynamoDBClient
    calls: Counter[str] = field(default_factory=Counter)
    written: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """Write units by table and index; the index None is the table itself."""
    read: dict[tuple[str, str | None], float] = field(default_factory=dict)
    """Read units, likewise."""
    writes: list[ItemWrite] = field(default_factory=list)
    items_written: int = 0
    items_read: int = 0
    _layouts: dict[str, TableLayout] = field(default_factory=dict)
    _committed: set[str] = field(default_factory=set)

    def attach(self, client: DynamoDBClient) -> None:
        """Count all further calls of `client`."""
        events = client.meta.events
        events.register("provide-client-params.dynamodb.*", self._asked)
        events.register("after-call.dynamodb.*", self._answered)

    def detach(self, client: DynamoDBClient) -> None:
        """Stop metering `client`: a metered one makes two reads for every item written."""
        client.meta.events.unregister("provide-client-params.dynamodb.*", self._asked)
        client.meta.events.unregister("after-call.dynamodb.*", self._answered)

    def reset(self) -> None:
        """Reset to zero."""
        self.calls.clear()
        self.written.clear()
        self.read.clear()
        self.writes.clear()
        self.items_written = self.items_read = 0

    @property
    def round_trips(self) -> int:
        """Calls to DynamoDB, refused ones as well."""
        return self.calls.total()

    @property
    def write_units(self) -> int:
        """Write units of all tables and indexes."""
        return self.written.total()

    @property
    def read_units(self) -> float:
        """Read units of all tables and indexes."""
        return sum(self.read.values())

    # ------------------------------------------------------------ events of the client

    def _asked(self, params: Mapping[str, Any], model: Any, context: Any, **_: Any) -> None:
        if model.name in _NOT_METERED:
            raise NotMetered(model.name)
        if model.name not in ITEM_OPERATIONS:
            return
        context["request"] = dict(params)
        context["before"] = [self._image(place) for place in self._places(model.name, params)]

    def _answered(self, parsed: Mapping[str, Any], model: Any, context: Any, **_: Any) -> None:
        if "request" not in context:
            return
        self.calls[model.name] += 1
        request, before = context["request"], context["before"]
        error = parsed.get("Error", {}).get("Code")
        if model.name == "TransactWriteItems" and not error:
            self._count_commit(request, before)
        elif model.name in PLAIN_WRITES and error in (None, _REFUSED):
            self._count_writes(model.name, request, before, transactional=False)
            self.items_written += not error
        elif not error:
            self._count_read(model.name, request, parsed)

    def _count_commit(self, request: Mapping[str, Any], before: Sequence[Item | None]) -> None:
        token = request.get("ClientRequestToken")
        if token in self._committed:
            # DynamoDB knows the token for ten minutes: a repetition only reads what was written.
            places = self._places("TransactWriteItems", request)
            for (table, _), image in zip(places, before, strict=True):
                self._charge_read(table, None, item_size(image or {}), Consistency.TRANSACTIONAL)
            return
        if token is not None:
            self._committed.add(token)
        self._count_writes("TransactWriteItems", request, before, transactional=True)
        actions = request["TransactItems"]
        self.items_written += sum("ConditionCheck" not in action for action in actions)

    def _count_writes(
        self,
        operation: str,
        request: Mapping[str, Any],
        before: Sequence[Item | None],
        *,
        transactional: bool,
    ) -> None:
        for place, old in zip(self._places(operation, request), before, strict=True):
            table, _ = place
            layout = self._layout(table)
            new = self._image(place)
            units = write_units(old, new, layout, transactional=transactional)
            sizes = item_size(old or {}), item_size(new or {})
            self.writes.append(ItemWrite(self.round_trips, table, *sizes, units))
            self.written[table, None] += units.table
            for index, entry_units in units.indexes.items():
                self.written[table, index] += entry_units

    def _count_read(
        self, operation: str, request: Mapping[str, Any], parsed: Mapping[str, Any]
    ) -> None:
        self.items_read += _items_in(parsed)
        if operation in PAGED_READS:
            self._count_page(operation, request)
            return
        for table, key, consistency in _keys_read(operation, request, parsed):
            size = item_size(self._image((table, key)) or {})
            self._charge_read(table, None, size, consistency)

    def _count_page(self, operation: str, request: Mapping[str, Any]) -> None:
        whole = {name: value for name, value in request.items() if name not in _NARROWED}
        # DynamoDB refuses placeholders that no expression uses any more.
        used = _PLACEHOLDER.findall(request.get("KeyConditionExpression", ""))
        for kind in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            left = {name: value for name, value in whole.pop(kind, {}).items() if name in used}
            whole |= {kind: left} if left else {}
        call: Any = self.reader.query if operation == "Query" else self.reader.scan
        size = sum(item_size(item) for item in call(**whole)["Items"])
        table, index = request["TableName"], request.get("IndexName")
        self._charge_read(table, index, size, _consistency(request))

    def _charge_read(
        self, table: str, index: str | None, size: int, consistency: Consistency
    ) -> None:
        units = read_units(size, consistency)
        self.read[table, index] = self.read.get((table, index), 0.0) + units

    # ------------------------------------------------------------ through the other client

    def _places(
        self, operation: str, request: Mapping[str, Any]
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Table and key of each item that a write names."""
        if operation == "TransactWriteItems":
            bodies = [body for action in request["TransactItems"] for body in action.values()]
        else:
            bodies = [request] if operation in PLAIN_WRITES else []
        places: list[tuple[str, Mapping[str, Any]]] = []
        for body in bodies:
            table, item = body["TableName"], body.get("Key") or body["Item"]
            places.append((table, {n: item[n] for n in self._layout(table).key_names}))
        return places

    def _image(self, place: tuple[str, Mapping[str, Any]]) -> Item | None:
        table, key = place
        answer = self.reader.get_item(TableName=table, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def _layout(self, table: str) -> TableLayout:
        if table not in self._layouts:
            answer = self.reader.describe_table(TableName=table)
            self._layouts[table] = TableLayout.described(answer["Table"])
        return self._layouts[table]


def _keys_read(
    operation: str, request: Mapping[str, Any], parsed: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any], Consistency]]:
    if operation == "TransactGetItems":
        gets = [action["Get"] for action in request["TransactItems"]]
        return [(get["TableName"], get["Key"], Consistency.TRANSACTIONAL) for get in gets]
    if operation == "GetItem":
        return [(request["TableName"], request["Key"], _consistency(request))]
    left = parsed.get("UnprocessedKeys", {})
    return [
        (table, key, _consistency(wanted))
        for table, wanted in request["RequestItems"].items()
        for key in wanted["Keys"]
        if key not in left.get(table, {}).get("Keys", [])
    ]


def _consistency(request: Mapping[str, Any]) -> Consistency:
    return Consistency.STRONG if request.get("ConsistentRead") else Consistency.EVENTUAL


def _items_in(parsed: Mapping[str, Any]) -> int:
    responses = parsed.get("Responses", [])
    if isinstance(responses, Mapping):  # BatchGetItem: lists by table
        return sum(len(items) for items in responses.values())
    one = "Item" in parsed
    return one + sum("Item" in each for each in responses) + len(parsed.get("Items", []))


def _reasons(parsed: Mapping[str, Any], code: str | None) -> list[str | None]:
    reasons = parsed.get("CancellationReasons", [])
    return [code, *(reason.get("Code") for reason in reasons)]
