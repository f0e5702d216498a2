"""Plain writes: of one item, or of a batch of them that have nothing to do with one another."""

from __future__ import annotations

from typing import Any, Final

from simulation.dynamodb.actions import PARTS, Action
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
        writes = [
            (name, each, self._read(*_of_batch(name, each)))
            for name, requests in wanted.items()
            for each in requests
        ]
        places = {(action.table.name, action.key) for _, _, action in writes}
        if len(places) != len(writes):
            raise invalid("Provided list of item keys contains duplicates")
        left: dict[str, list[Any]] = {}
        for name, each, action in writes:
            if (action.table.name, action.key) in self._commits.locks:
                left.setdefault(name, []).append(each)
            else:
                self._do(action, consumed)
        return answer(UnprocessedItems=left, **consumed.all())

    def _write(self, kind: str, request: Request) -> Answer:
        only(request, _PLAIN[kind], kind)
        consumed = Consumed(request)
        # Measured: a missing table is the answer whatever else is wrong. In batches and in
        # transactions, what a write has in it is judged first.
        self._catalog.table(request["TableName"])
        action = self._read(kind, request)
        if (action.table.name, action.key) in self._commits.locks:
            raise conflict()
        self._do(action, consumed)
        return answer(**consumed.one())

    def _read(self, kind: str, body: Request) -> Action:
        action = Action(kind, body)
        action.find(self._catalog, body["TableName"])
        action.judge_key()
        return action

    def _do(self, action: Action, consumed: Consumed) -> None:
        old = action.table.items.get(action.key)
        if not action.holds(old):
            raise condition_failed(old if action.shows_old else None)
        change = Change(action.table, action.key, old, action.item_after(old))
        consumed.write(change)
        self._commits.commit([change])


def _of_batch(table: str, request: Request) -> tuple[str, Request]:
    """A write of a batch as it would be alone."""
    ((kind, body),) = request.items()
    return kind.removesuffix("Request"), {"TableName": table, **body}
