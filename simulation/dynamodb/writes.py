"""Plain writes: of one item, or of a batch of them that have nothing to do with one another."""

from __future__ import annotations

from typing import Any, Final

from simulation.dynamodb.actions import PARTS, Action, holds, item_after, read_action
from simulation.dynamodb.capacity import Consumed
from simulation.dynamodb.catalog import Catalog
from simulation.dynamodb.commits import Commits
from simulation.dynamodb.errors import condition_failed, conflict, invalid
from simulation.dynamodb.requests import Answer, Request, answer, judge_length, only
from simulation.dynamodb.tables import Change

MAX_BATCH_WRITES: Final = 25
_CAPACITY: Final = frozenset({"ReturnConsumedCapacity"})
_BATCH: Final = _CAPACITY | {"RequestItems"}
_PLAIN: Final = {kind: PARTS[kind] | _CAPACITY for kind in ("Put", "Update", "Delete")}


class PlainWrites:
    """PutItem, UpdateItem, DeleteItem, BatchWriteItem."""

    def __init__(self, catalog: Catalog, commits: Commits) -> None:
        self._catalog = catalog
        self._commits = commits

    def put_item(self, **request: Any) -> Answer:
        """As the operation of this name."""
        return self._write("Put", request)

    def update_item(self, **request: Any) -> Answer:
        """As the operation of this name."""
        return self._write("Update", request)

    def delete_item(self, **request: Any) -> Answer:
        """As the operation of this name."""
        return self._write("Delete", request)

    def batch_write_item(self, **request: Any) -> Answer:
        """As the operation of this name; what a transaction is at work on stays unprocessed."""
        only(request, _BATCH, "BatchWriteItem")
        consumed = Consumed(request)
        wanted = request["RequestItems"]
        judge_length("requestItems", sum(map(len, wanted.values())), MAX_BATCH_WRITES)
        actions = [
            (table, each, _of_batch(self._catalog, table, each))
            for table, requests in wanted.items()
            for each in requests
        ]
        places = [(action.table.name, action.key) for _, _, action in actions]
        if len(set(places)) != len(places):
            raise invalid("Provided list of item keys contains duplicates")
        left: dict[str, list[Any]] = {}
        for table, each, action in actions:
            if (action.table.name, action.key) in self._commits.locks:
                left.setdefault(table, []).append(each)
            else:
                self._do(action, consumed)
        return answer(UnprocessedItems=left, **consumed.all())

    def _write(self, kind: str, request: Request) -> Answer:
        only(request, _PLAIN[kind], kind)
        consumed = Consumed(request)
        action = read_action(self._catalog, kind, request)
        if (action.table.name, action.key) in self._commits.locks:
            raise conflict()
        self._do(action, consumed)
        return answer(**consumed.one())

    def _do(self, action: Action, consumed: Consumed) -> None:
        table, key = action.table, action.key
        table.judge_key_sizes(key)
        old = table.items.get(key)
        if not holds(action, old):
            raise condition_failed(old if action.shows_old else None)
        change = Change(table, key, old, item_after(action, old))
        consumed.write(change)
        self._commits.commit([change])


def _of_batch(catalog: Catalog, table: str, request: Request) -> Action:
    ((kind, body),) = request.items()
    return read_action(catalog, kind.removesuffix("Request"), {"TableName": table, **body})
