"""Reads by key: of one item, of many, and of many at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.dynamodb.capacity import Consistency
from simulation.dynamodb.capacity import Consumed, consistency_of
from simulation.dynamodb.catalog import Catalog
from simulation.dynamodb.commits import Commits
from simulation.dynamodb.errors import CONFLICT, NOT_REFUSED, canceled, invalid, validation_error
from simulation.dynamodb.expressions.compiled import compiled, judge_stray_part
from simulation.dynamodb.indexes import Key
from simulation.dynamodb.requests import (
    PROJECTION_PARTS,
    Answer,
    Request,
    answer,
    judge_length,
    only,
    projected,
)
from simulation.dynamodb.sizes import BATCH_BYTES, MAX_ITEM_BYTES, MAX_TRANSACTION_BYTES, size_of
from simulation.dynamodb.tables import Table
from simulation.dynamodb.values import Item, canonical_item

MAX_KEYS: Final = 100
_CAPACITY: Final = frozenset({"ReturnConsumedCapacity"})
_ONE: Final = PROJECTION_PARTS | {"TableName", "Key"}
_GET: Final = _ONE | _CAPACITY | {"ConsistentRead"}
_OF_TABLE: Final = PROJECTION_PARTS | {"Keys", "ConsistentRead"}
_BATCH: Final = _CAPACITY | {"RequestItems"}
_TRANSACTION: Final = _CAPACITY | {"TransactItems"}
_FEW: Final = MAX_TRANSACTION_BYTES // MAX_ITEM_BYTES
_FEW_OF_BATCH: Final = BATCH_BYTES // MAX_ITEM_BYTES
"""So many items cannot be too large together."""


class Reads:
    """GetItem, BatchGetItem, TransactGetItems."""

    def __init__(self, catalog: Catalog, commits: Commits) -> None:
        self._catalog = catalog
        self._commits = commits

    def get_item(self, **request: Any) -> Answer:
        """As the operation of this name."""
        only(request, _GET, "GetItem")
        consumed = Consumed(request)
        judge_stray_part(request)
        table, key, wanted = self._asked(request)
        item = self._item(table, key, request)
        if consumed.wanted:
            consumed.read_item(table, item, consistency_of(request))
        if item is None:
            return answer(**consumed.one())
        return answer(Item=projected(item, wanted), **consumed.one())

    def batch_get_item(self, **request: Any) -> Answer:
        """As the operation of this name. The items come in no order that was asked for."""
        only(request, _BATCH, "BatchGetItem")
        consumed = Consumed(request)
        asked: dict[str, Any] = request["RequestItems"]
        keys = sum(len(each["Keys"]) for each in asked.values())
        judge_length("requestItems", keys, MAX_KEYS)
        room = BATCH_BYTES if keys > _FEW_OF_BATCH else None
        found: dict[str, list[Any]] = {}
        left: dict[str, Any] = {}
        self._judge_batch(asked)
        for name, of_table in asked.items():
            found[name], unread, room = self._batch(name, of_table, room, consumed)
            if unread:
                left[name] = {**of_table, "Keys": unread}
        return answer(Responses=found, UnprocessedKeys=left, **consumed.all())

    def transact_get_items(self, **request: Any) -> Answer:
        """As the operation of this name: before or after all of a commit, never in its middle."""
        only(request, _TRANSACTION, "TransactGetItems")
        consumed = Consumed(request)
        gets = [each["Get"] for each in request["TransactItems"]]
        judge_length("transactItems", len(gets), MAX_KEYS)
        for get in gets:
            only(get, _ONE, "Get")
        asked = self._all_asked(gets)
        places = [(table.name, key) for table, key, _ in asked]
        if len(set(places)) != len(places):
            raise invalid("Transaction request cannot include multiple operations on one item")
        locks = self._commits.locks
        if locks and any(place in locks for place in places):
            raise canceled([CONFLICT if place in locks else NOT_REFUSED for place in places])
        items = [table.items.get(key) for table, key, _ in asked]
        if len(items) > _FEW and sum(map(size_of, filter(None, items))) > MAX_TRANSACTION_BYTES:
            raise invalid("Payload in response is too large.")
        for (table, _, _), item in zip(asked, items, strict=True):
            consumed.read_item(table, item, Consistency.TRANSACTIONAL)
        responses = [
            {} if item is None else {"Item": projected(item, wanted)}
            for (_, _, wanted), item in zip(asked, items, strict=True)
        ]
        return answer(Responses=responses, **consumed.all("Read"))

    def _all_asked(
        self, gets: Sequence[Request]
    ) -> list[tuple[Table, Key, tuple[str, ...] | None]]:
        """What a transaction asks for; a key that does not match its table cancels it.

        Measured: each read is judged in turn, and its table is found first.
        """
        asked = []
        faults = []
        for get in gets:
            table = self._catalog.table(get["TableName"])
            judge_stray_part(get)
            wanted = projection_of(get)
            holder = canonical_item(get["Key"])
            faults.append(table.key_fault(holder, whole=True))
            if not faults[-1]:
                key = table.key_of(holder)
                table.judge_key_size(key)
                asked.append((table, key, wanted))
        if any(faults):
            raise canceled([validation_error(each) if each else NOT_REFUSED for each in faults])
        return asked

    def _item(self, table: Table, key: Key, request: Request) -> Item | None:
        consistent = request.get("ConsistentRead", False)
        return table.items.get(key) if consistent else self._commits.eventually(table, key)

    def _asked(self, request: Request) -> tuple[Table, Key, tuple[str, ...] | None]:
        table = self._catalog.table(request["TableName"])
        wanted = projection_of(request)
        key = table.key(request["Key"])
        table.judge_key_size(key)
        return table, key, wanted

    def _judge_batch(self, asked: Mapping[str, Request]) -> None:
        """Measured: names without an expression, and keys, are judged before any table is found."""
        for of_table in asked.values():
            only(of_table, _OF_TABLE, "BatchGetItem")
            judge_stray_part(of_table)
        if asked.keys() <= self._catalog.tables.keys():
            return  # the keys are judged with their tables
        for of_table in asked.values():
            keys = [canonical_item(key) for key in of_table["Keys"]]
            if any(key in keys[:number] for number, key in enumerate(keys)):
                raise _twice()
        for name in asked:
            self._catalog.table(name)

    def _batch(
        self, name: str, request: Request, room: int | None, consumed: Consumed
    ) -> tuple[list[Any], list[Any], int | None]:
        """The items of one table, the keys beyond `room`, and the room that is left."""
        table = self._catalog.table(name)
        wanted = projection_of(request)
        keys = [table.key(key) for key in request["Keys"]]
        for key in keys:
            table.judge_key_size(key)
        if len(set(keys)) != len(keys):
            raise _twice()
        found: list[Any] = []
        for number, key in enumerate(keys):
            item = self._item(table, key, request)
            if room is not None and item is not None:
                room -= size_of(item)
                if room < 0:
                    return found[::-1], list(request["Keys"][number:]), room
            consumed.read_item(table, item, consistency_of(request))
            if item is not None:
                found.append(projected(item, wanted))
        return found[::-1], [], room


def _twice() -> Exception:
    return invalid("Provided list of item keys contains duplicates")


def projection_of(request: Request) -> tuple[str, ...] | None:
    """The attributes that a read asks for; None for all of them."""
    return compiled(request).projection if "ProjectionExpression" in request else None
