"""Typed access to DynamoDB: reads, single writes and transactions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from runtime.dynamodb.codec import Item, serialize
from runtime.dynamodb.errors import transient_code, transient_reason
from runtime.dynamodb.expressions import Check, Delete, Put, Rendering, Update, Write, absent
from runtime.dynamodb.reads import MAX_TRANSACTION_ITEMS, ScanPage, StalePage, StoreReads, View
from runtime.dynamodb.retrying_client import BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS
from runtime.dynamodb.schema import Row, TableSchema

__all__ = [
    "BACKOFF_BASE_SECONDS",
    "BACKOFF_CAP_SECONDS",
    "MAX_TRANSACTION_ITEMS",
    "ScanPage",
    "StalePage",
    "Store",
    "View",
]

RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True)
class Store(StoreReads):
    """Typed access to the tables named in the function's settings."""

    def put_new(self, row: RowT) -> RowT | None:
        """Write a row unless it exists. Returns the existing row, or None.

        A single write without a transaction.
        """
        schema = TableSchema.of(type(row))
        rendering = Rendering(serialize)
        condition = absent(schema.partition_key.name)(rendering)
        try:
            self._call(
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
        """A single conditional write. Returns the current item if the condition failed, else None.

        It has no token: after a lost response it may be applied twice.
        """
        ((_, request),) = self._render(write).items()
        try:
            self._call(self.client.update_item, **request)
        except self.client.exceptions.ConditionalCheckFailedException as refused:
            there: Any = refused.response.get("Item", {})
            return dict(there)
        self.usage.moved(1)
        return None

    def transact(
        self,
        writes: Sequence[Write],
        *,
        token: str,
        decisive: Collection[int] = (),
        conflict_cap_seconds: float = BACKOFF_CAP_SECONDS,
    ) -> None:
        """Write all or nothing. `token` (at most 36 characters) is the ClientRequestToken.

        If one condition failed and another was not evaluated because its item was busy, the
        transaction is retried, unless a write at one of the positions `decisive` failed: the caller
        then needs no other result. `conflict_cap_seconds` is the longest pause after a conflict;
        use a short one if many transactions lock an item for milliseconds each.

        Raises TransactionRefused if a condition failed, Unavailable if time ran out.
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
                self.client.transact_write_items(**request)
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

    def _sealed(self, write: Update) -> Update:
        """The update with its encrypted attributes."""
        if not write.sealed:
            return write
        assert write.row is not None, "sealed attributes take their values from the row"
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
