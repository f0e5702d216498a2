"""Typed reads from DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from runtime.core.scope import Scope
from runtime.dynamodb.codec import OWNER, Item, deserialize_key, serialize
from runtime.dynamodb.expressions import Condition, Key, Rendering
from runtime.dynamodb.retrying_client import RetryingClient
from runtime.dynamodb.schema import PACKED, Row, TableSchema

View = TypeVar("View", bound=BaseModel)

MAX_TRANSACTION_ITEMS = 100
"""DynamoDB's limit of actions in TransactWriteItems, and of keys in BatchGetItem."""


@dataclass(frozen=True, slots=True)
class ScanPage(Generic[View]):
    """Rows of one Scan call; the next page starts after `last_key` (None: end)."""

    rows: list[View]
    last_key: Key | None


@dataclass(frozen=True, slots=True)
class StalePage:
    """Row keys of one Scan call, each with the attributes encrypted under old keys."""

    rows: list[tuple[dict[str, Any], tuple[str, ...]]]
    last_key: Key | None


@dataclass(frozen=True)
class StoreReads(RetryingClient):
    """Typed reads from the tables named in the function's settings."""

    def get(self, model: type[Row], key: Key, view: type[View], scope: Scope) -> View | None:
        """The row at `key`, strongly consistent; None if `scope` has no such row."""
        read = self._get(model, key, view, scope)
        answer = self._call(self.client.get_item, ConsistentRead=True, **read)
        return self._seen(model, answer, view, scope)

    def get_recent(self, model: type[Row], key: Key, view: type[View], scope: Scope) -> View | None:
        """Like `get`, but eventually consistent, at half the price.

        The row may lack the latest writes, usually those of less than a second, and a new row may
        be missing: for values that are cached anyway, and never to find that something is absent.
        """
        read = self._get(model, key, view, scope)
        answer = self._call(self.client.get_item, ConsistentRead=False, **read)
        return self._seen(model, answer, view, scope)

    def get_settled(
        self, model: type[Row], keys: Sequence[Key], view: type[View], scope: Scope
    ) -> list[View]:
        """Like `get_many`, but isolated from transactions: waits for one on any of the rows.

        Other reads may see a transaction's rows at different times (DynamoDB Developer Guide,
        "DynamoDB transactions: isolation levels"). This one costs twice as much.
        """
        assert 0 < len(keys) <= MAX_TRANSACTION_ITEMS, f"{len(keys)} keys in one transaction"
        reads = [{"Get": self._get(model, key, view, scope)} for key in keys]
        answer = self._call(self.client.transact_get_items, TransactItems=reads)
        rows = (self._seen(model, each, view, scope) for each in answer["Responses"])
        return [row for row in rows if row is not None]

    def get_many(
        self, model: type[Row], keys: Sequence[Key], view: type[View], scope: Scope
    ) -> list[View]:
        """The rows at `keys` that exist in `scope`, strongly consistent, in the order of `keys`.

        A key may be given twice, and its row is returned once: whoever reads several partitions of
        an index can meet a row in two of them, when it moves in between.
        """
        schema = TableSchema.of(model)
        order = list(dict.fromkeys(tuple(key[name] for name in schema.key_names) for key in keys))
        assert len(order) <= MAX_TRANSACTION_ITEMS, f"{len(order)} keys in one batch"
        projection = _projection(
            view, (*schema.key_names, *_judged(schema, scope), *_packed(schema, view))
        )
        read = {"ConsistentRead": True, **projection}
        table = self.tables[schema.name]
        found: dict[tuple[Any, ...], View] = {}
        wanted = [
            {name: serialize(value) for name, value in zip(schema.key_names, key, strict=True)}
            for key in order
        ]
        attempt = 0
        while wanted:
            request = {table: {"Keys": wanted, **read}}
            answer = self._call(self.client.batch_get_item, RequestItems=request)
            for item in answer["Responses"].get(table, []):
                if not _in_scope(item, scope):
                    continue
                row = self.codec.to_row(schema, item, view)
                found[tuple(getattr(row, name) for name in schema.key_names)] = row
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            if wanted:
                self._back_off(attempt, "unprocessed keys")
                attempt += 1
        return [found[key] for key in order if key in found]

    def query(  # noqa: PLR0913 - the parts of one Query call
        self,
        model: type[Row],
        view: type[View],
        conditions: Sequence[Condition],
        *,
        page_size: int,
        index: str | None = None,
        newest_first: bool = False,
        start_after: Key | None = None,
        consistent: bool = False,
    ) -> Iterator[View]:
        """All rows that match the key `conditions`; pages are read lazily.

        `consistent` is only possible for the table, not for an index.
        """
        schema = TableSchema.of(model)
        for item in self.query_items(
            model,
            conditions,
            page_size=page_size,
            index=index,
            newest_first=newest_first,
            start_after=start_after,
            consistent=consistent,
        ):
            yield self.codec.to_row(schema, item, view)

    def query_items(  # noqa: PLR0913 - the parts of one Query call
        self,
        model: type[Row],
        conditions: Sequence[Condition],
        *,
        page_size: int,
        index: str | None = None,
        newest_first: bool = False,
        start_after: Key | None = None,
        consistent: bool = False,
    ) -> Iterator[Item]:
        """Like `query`, but returns the stored items, valid or not."""
        schema = TableSchema.of(model)
        rendering = Rendering(serialize)
        request: dict[str, Any] = {
            "TableName": self.tables[schema.name],
            "KeyConditionExpression": " AND ".join(
                condition(rendering) for condition in conditions
            ),
            "ExpressionAttributeNames": rendering.names,
            "ExpressionAttributeValues": rendering.values,
            "ScanIndexForward": not newest_first,
            "Limit": page_size,
            "ConsistentRead": consistent,
        }
        if index is not None:
            request["IndexName"] = schema.index(index).name
        if start_after is not None:
            request["ExclusiveStartKey"] = {n: serialize(v) for n, v in start_after.items()}
        while True:
            answer = self._call(self.client.query, **request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def scan(
        self,
        model: type[Row],
        view: type[View],
        *,
        segment: int,
        total_segments: int,
        page_size: int,
        start_after: Key | None = None,
    ) -> Iterator[ScanPage[View]]:
        """One segment of a table, strongly consistent; pages are read lazily.

        `start_after` is a page's `last_key`, or the key of a row of this segment. A row is
        returned once, as it was when its page was read.
        """
        schema = TableSchema.of(model)
        request: dict[str, Any] = {
            "TableName": self.tables[schema.name],
            "Segment": segment,
            "TotalSegments": total_segments,
            "Limit": page_size,
            "ConsistentRead": True,
            **_projection(view, _packed(schema, view)),
        }
        for items, last_key in self._scanned(request, start_after):
            yield ScanPage([self.codec.to_row(schema, item, view) for item in items], last_key)

    def scan_items(
        self, model: type[Row], *, segment: int, total_segments: int, page_size: int
    ) -> Iterator[list[Item]]:
        """The stored items of one segment of a table, strongly consistent."""
        request: dict[str, Any] = {
            "TableName": self.tables[TableSchema.of(model).name],
            "Segment": segment,
            "TotalSegments": total_segments,
            "Limit": page_size,
            "ConsistentRead": True,
        }
        for items, _ in self._scanned(request, None):
            yield list(items)

    def get_item(self, model: type[Row], key: Key) -> Item | None:
        """The stored item at `key`, strongly consistent, without a scope."""
        answer = self._call(
            self.client.get_item,
            TableName=self.tables[TableSchema.of(model).name],
            Key={name: serialize(value) for name, value in key.items()},
            ConsistentRead=True,
        )
        item: Item | None = answer.get("Item")
        return item

    def scan_stale(
        self, model: type[Row], *, page_size: int, start_after: Key | None
    ) -> Iterator[StalePage]:
        """A whole table by page: row keys with their attributes encrypted under old keys."""
        schema = TableSchema.of(model)
        request: dict[str, Any] = {
            "TableName": self.tables[schema.name],
            "Limit": page_size,
            "ConsistentRead": True,
        }
        for items, last_key in self._scanned(request, start_after):
            rows = [
                (
                    deserialize_key({name: item[name] for name in schema.key_names}) or {},
                    self.codec.stale(schema, item),
                )
                for item in items
            ]
            yield StalePage(rows, last_key)

    def _scanned(
        self, request: dict[str, Any], last_key: Key | None
    ) -> Iterator[tuple[list[dict[str, Any]], Key | None]]:
        while True:
            if last_key is not None:
                request["ExclusiveStartKey"] = {n: serialize(v) for n, v in last_key.items()}
            answer = self._call(self.client.scan, **request)
            last_key = deserialize_key(answer.get("LastEvaluatedKey"))
            yield answer["Items"], last_key
            if last_key is None:
                return

    def _get(self, model: type[Row], key: Key, view: type[View], scope: Scope) -> dict[str, Any]:
        schema = TableSchema.of(model)
        return {
            "TableName": self.tables[schema.name],
            "Key": {name: serialize(value) for name, value in key.items()},
            **_projection(view, (*_judged(schema, scope), *_packed(schema, view))),
        }

    def _seen(
        self, model: type[Row], answer: Mapping[str, Any], view: type[View], scope: Scope
    ) -> View | None:
        item = answer.get("Item")
        if not item or not _in_scope(item, scope):
            return None
        return self.codec.to_row(TableSchema.of(model), item, view)


@cache
def _projection(view: type[BaseModel], besides: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """The parameters of a read that ask for the fields of `view`, and for `besides`."""
    names = {f"#{name}": name for name in (*view.model_fields, *besides)}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}


def _judged(schema: TableSchema, scope: Scope) -> tuple[str, ...]:
    """The attribute needed to check whether a row is in `scope`."""
    if scope.owner is None:
        return ()
    assert OWNER in schema.model.model_fields, f"rows of {schema.name} have no owner"
    return (OWNER,)


def _packed(schema: TableSchema, view: type[BaseModel]) -> tuple[str, ...]:
    """The attribute that contains packed fields of `view`, if it has any."""
    return (PACKED,) if schema.packed & view.model_fields.keys() else ()


def _in_scope(item: Mapping[str, Any], scope: Scope) -> bool:
    return scope.admits(item.get(OWNER, {}).get("S"))
