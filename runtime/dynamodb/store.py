"""DynamoDB, narrowed to what the repositories need: typed reads, and one kind of write.

Every write is a transaction, retried by the policy of this module: what DynamoDB calls transient
(conflict, throttling, in progress, a lost answer) is tried again byte for byte under the same
ClientRequestToken, with full jitter, inside the time that the invocation has left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from pydantic import BaseModel

from runtime.core.errors import Unavailable
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.dynamodb.codec import OWNER, Codec, Item, deserialize_key, serialize
from runtime.dynamodb.errors import CONFLICT, transient_code, transient_reason
from runtime.dynamodb.expressions import (
    Check,
    Condition,
    Delete,
    Key,
    Put,
    Rendering,
    Update,
    Write,
    absent,
)
from runtime.dynamodb.schema import Row, TableSchema
from runtime.dynamodb.usage import Usage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

View = TypeVar("View", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ScanPage(Generic[View]):
    """Rows that one Scan call read; `last_key` is where the next page begins, None at the end."""

    rows: list[View]
    last_key: Key | None


@dataclass(frozen=True, slots=True)
class StalePage:
    """Keys of the rows that one Scan call read, each with its attributes under old keys."""

    rows: list[tuple[dict[str, Any], tuple[str, ...]]]
    last_key: Key | None


RowT = TypeVar("RowT", bound=Row)

MAX_TRANSACTION_ITEMS = 100
"""DynamoDB's limit of actions in TransactWriteItems, and of keys in BatchGetItem."""
BACKOFF_BASE_SECONDS = 0.025
BACKOFF_CAP_SECONDS = 1.0
ANSWER_MARGIN_SECONDS = 0.5
"""Time kept back to tell the caller that we are busy."""


@dataclass(frozen=True)
class Store:
    """Typed access to the tables that this function's settings name.

    `remaining_seconds` says how long the invocation may still run. `usage` counts what was asked.
    """

    client: DynamoDBClient
    tables: Mapping[str, str]
    codec: Codec
    remaining_seconds: Callable[[], float]
    outside: Outside
    usage: Usage = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "usage", Usage(self.outside.lock()))

    def get(self, model: type[Row], key: Key, view: type[View], scope: Scope) -> View | None:
        """The row at `key`, strongly consistent; None if there is none in `scope`."""
        read = self._get(model, key, view, scope)
        answer = self._patiently(self.client.get_item, ConsistentRead=True, **read)
        return self._seen(model, answer, view, scope)

    def get_settled(
        self, model: type[Row], keys: Sequence[Key], view: type[View], scope: Scope
    ) -> list[View]:
        """Like `get_many`, but never in the middle of a commit: one on any row is waited for.

        Other reads may see some rows of a commit before others (DynamoDB Developer Guide, "DynamoDB
        transactions: isolation levels"); this one is before or after all of it. It costs twice.
        """
        assert 0 < len(keys) <= MAX_TRANSACTION_ITEMS, f"{len(keys)} keys in one transaction"
        reads = [{"Get": self._get(model, key, view, scope)} for key in keys]
        answer = self._patiently(self.client.transact_get_items, TransactItems=reads)
        rows = (self._seen(model, each, view, scope) for each in answer["Responses"])
        return [row for row in rows if row is not None]

    def get_many(
        self, model: type[Row], keys: Sequence[Key], view: type[View], scope: Scope
    ) -> list[View]:
        """The rows at `keys` that exist in `scope`, strongly consistent, in the order of `keys`."""
        assert len(keys) <= MAX_TRANSACTION_ITEMS, f"{len(keys)} keys in one batch"
        schema = TableSchema.of(model)
        asked = (*schema.key_names, *view.model_fields, *_judged(schema, scope))
        names = {f"#{name}": name for name in asked}
        projection = {
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        table = self.tables[schema.name]
        found: dict[tuple[Any, ...], View] = {}
        wanted: list[dict[str, Any]] = [{n: serialize(v) for n, v in key.items()} for key in keys]
        attempt = 0
        while wanted:
            request = {table: {"Keys": wanted, **projection}}
            answer = self._patiently(self.client.batch_get_item, RequestItems=request)
            for item in answer["Responses"].get(table, []):
                if not _in_scope(item, scope):
                    continue
                row = self.codec.to_row(schema, item, view)
                found[tuple(getattr(row, name) for name in schema.key_names)] = row
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            if wanted:
                self._back_off(attempt, "keys were left unread")
                attempt += 1
        order = (tuple(key[name] for name in schema.key_names) for key in keys)
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
        """All rows that meet the key `conditions`, read page by page as they are asked for.

        Only a table can be read consistently, never an index.
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
        """Like `query`, the items as they are stored: for who must see what is no row any more."""
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
            answer = self._patiently(self.client.query, **request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def put_new(self, row: RowT) -> RowT | None:
        """Write a row that may be there already: then it is left alone, and given back.

        One plain write, for rows that nothing else must be written with.
        """
        schema = TableSchema.of(type(row))
        rendering = Rendering(serialize)
        condition = absent(schema.partition_key.name)(rendering)
        try:
            self._patiently(
                self.client.put_item,
                TableName=self.tables[schema.name],
                Item=self.codec.to_item(row),
                ConditionExpression=condition,
                ExpressionAttributeNames=rendering.names,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.client.exceptions.ConditionalCheckFailedException as refused:
            item: Any = refused.response.get("Item", {})
            return self.codec.to_row(schema, item, type(row))
        self.usage.moved(1)
        return None

    def update_alone(self, write: Update) -> Item | None:
        """One plain conditional write; the row as it stands when its condition failed, else None.

        It has no token: when its answer is lost it may be done twice.
        """
        ((_, request),) = self._render(write).items()
        try:
            self._patiently(self.client.update_item, **request)
        except self.client.exceptions.ConditionalCheckFailedException as refused:
            there: Any = refused.response.get("Item", {})
            return dict(there)
        self.usage.moved(1)
        return None

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
        """One segment of a whole table, strongly consistent, page by page as they are asked for.

        `start_after` is a page's `last_key`, or the key of a row of this segment. A row that
        changes meanwhile is seen once, as it was when its page was read.
        """
        schema = TableSchema.of(model)
        names = {f"#{name}": name for name in view.model_fields}
        request: dict[str, Any] = {
            "TableName": self.tables[schema.name],
            "Segment": segment,
            "TotalSegments": total_segments,
            "Limit": page_size,
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        for items, last_key in self._scanned(request, start_after):
            yield ScanPage([self.codec.to_row(schema, item, view) for item in items], last_key)

    def scan_items(
        self, model: type[Row], *, segment: int, total_segments: int, page_size: int
    ) -> Iterator[list[Item]]:
        """One segment of a whole table, strongly consistent, as its items are stored."""
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
        """The item at `key` as it is stored, strongly consistent, whosever it is."""
        answer = self._patiently(
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
        """A whole table, page by page: the keys of its rows with what an old key enciphered."""
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
            answer = self._patiently(self.client.scan, **request)
            last_key = deserialize_key(answer.get("LastEvaluatedKey"))
            yield answer["Items"], last_key
            if last_key is None:
                return

    def transact(
        self,
        writes: Sequence[Write],
        *,
        token: str,
        decisive: Collection[int] = (),
        conflict_cap_seconds: float = BACKOFF_CAP_SECONDS,
    ) -> None:
        """All writes or none. `token` (at most 36 characters) names this attempt for DynamoDB.

        Where the condition of one write failed while another's was not judged, because its item was
        busy, all of it is tried again. Not so when one of the positions `decisive` has failed:
        whoever judges the refusal then asks for no other one. `conflict_cap_seconds` is the longest
        pause after a conflict alone: short where many others lock an item for milliseconds.

        Raises TransactionRefused when a condition failed, Unavailable when time ran out.
        """
        assert 0 < len(writes) <= MAX_TRANSACTION_ITEMS, f"{len(writes)} writes in one transaction"
        request = {
            "TransactItems": [self._render(write) for write in writes],
            "ClientRequestToken": token,
        }
        attempt = 0
        while True:
            self.usage.called()
            try:
                self.client.transact_write_items(**request)  # type: ignore[arg-type]
            except self.client.exceptions.TransactionCanceledException as canceled:
                reason = transient_reason(canceled, decisive)
            except ClientError as error:
                reason = transient_code(error)
            except (ConnectionError, HTTPClientError) as lost:
                reason = type(lost).__name__
            else:
                self.usage.moved(len(writes))
                return
            self._back_off(attempt, reason, conflict_cap_seconds)
            attempt += 1

    def _get(self, model: type[Row], key: Key, view: type[View], scope: Scope) -> dict[str, Any]:
        schema = TableSchema.of(model)
        names = {f"#{name}": name for name in (*view.model_fields, *_judged(schema, scope))}
        return {
            "TableName": self.tables[schema.name],
            "Key": {name: serialize(value) for name, value in key.items()},
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }

    def _seen(
        self, model: type[Row], answer: Mapping[str, Any], view: type[View], scope: Scope
    ) -> View | None:
        item = answer.get("Item")
        if not item or not _in_scope(item, scope):
            return None
        return self.codec.to_row(TableSchema.of(model), item, view)

    def _patiently(self, call: Callable[..., Any], **request: Any) -> Any:
        attempt = 0
        while True:
            self.usage.called()
            try:
                answer = call(**request)
            except self.client.exceptions.TransactionCanceledException as canceled:
                reason = transient_reason(canceled)
            except ClientError as error:
                reason = transient_code(error)
            except (ConnectionError, HTTPClientError) as lost:
                reason = type(lost).__name__
            else:
                self.usage.moved(_items_read(answer))
                return answer
            self._back_off(attempt, reason)
            attempt += 1

    def _back_off(
        self, attempt: int, reason: str, conflict_cap_seconds: float = BACKOFF_CAP_SECONDS
    ) -> None:
        cap = conflict_cap_seconds if reason == CONFLICT else BACKOFF_CAP_SECONDS
        ceiling = min(cap, BACKOFF_BASE_SECONDS * 2 ** min(attempt, 16))
        delay = self.outside.chance.uniform(0, ceiling)
        if self.remaining_seconds() < delay + ANSWER_MARGIN_SECONDS:
            raise Unavailable(f"The database was busy for too long ({reason}); try again")
        self.usage.retried()
        self.outside.sleep(delay)

    def _sealed(self, write: Update) -> Update:
        """The update with its encrypted attributes enciphered."""
        if not write.sealed:
            return write
        assert write.row is not None, "the values of sealed attributes stand in the row"
        return write.assign(**self.codec.seal(write.schema, write.row, write.sealed))

    def _render(self, write: Write) -> dict[str, Any]:
        rendering = Rendering(serialize)
        schema = TableSchema.of(type(write.row)) if isinstance(write, Put) else write.schema
        body: dict[str, Any] = {"TableName": self.tables[schema.name]}
        if isinstance(write, Put):
            kind = "Put"
            body["Item"] = self.codec.to_item(write.row)
        else:
            kind = _KINDS[type(write)]
            body["Key"] = {name: serialize(value) for name, value in write.key.items()}
        if isinstance(write, Update):
            body["UpdateExpression"] = self._sealed(write).expression(rendering)
        if write.condition is not None:
            body["ConditionExpression"] = write.condition(rendering)
            body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if rendering.names:
            body["ExpressionAttributeNames"] = rendering.names
        if rendering.values:
            body["ExpressionAttributeValues"] = rendering.values
        return {kind: body}


_KINDS = {Check: "ConditionCheck", Delete: "Delete", Update: "Update"}


def _judged(schema: TableSchema, scope: Scope) -> tuple[str, ...]:
    """The attribute that says whether a row is in `scope`."""
    if scope.owner is None:
        return ()
    assert OWNER in schema.model.model_fields, f"rows of {schema.name} have no owner"
    return (OWNER,)


def _in_scope(item: Mapping[str, Any], scope: Scope) -> bool:
    return scope.admits(item.get(OWNER, {}).get("S"))


def _items_read(answer: Mapping[str, Any]) -> int:
    if "Items" in answer:
        return len(answer["Items"])
    if "Responses" in answer:
        responses = answer["Responses"]
        if isinstance(responses, list):
            return sum("Item" in each for each in responses)
        return sum(len(items) for items in responses.values())
    return int("Item" in answer)
