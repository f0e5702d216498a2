"""What boto3.client gives for "dynamodb" and "dynamodbstreams", on the engine in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

from botocore.exceptions import ClientError

from simulation.dynamodb.database import InMemoryDynamoDB
from simulation.dynamodb.errors import EXCEPTIONS, refusal
from simulation.dynamodb.events import SERVICE, ClientEvents, Sent
from simulation.dynamodb.streams import REGION, Stream, stream_record
from simulation.dynamodb.tables import Table

OPERATIONS: Final = {
    "batch_get_item": "BatchGetItem",
    "batch_write_item": "BatchWriteItem",
    "create_table": "CreateTable",
    "delete_item": "DeleteItem",
    "delete_table": "DeleteTable",
    "describe_table": "DescribeTable",
    "get_item": "GetItem",
    "put_item": "PutItem",
    "query": "Query",
    "scan": "Scan",
    "transact_get_items": "TransactGetItems",
    "transact_write_items": "TransactWriteItems",
    "update_item": "UpdateItem",
    "update_time_to_live": "UpdateTimeToLive",
}
_PAGED: Final = ("query", "scan")
_SHARD: Final = "shardId-00000000000000000000-00000000"
_RECORDS_AT_ONCE: Final = 1000
_ENDPOINT: Final = "memory://dynamodb"

Call = Callable[..., dict[str, Any]]


class InMemoryClient:
    """A DynamoDB client with botocore's events. With a `lock` many threads may share the engine.

    The lock is held during each call of the engine, and not while handlers of events run.
    """

    exceptions = EXCEPTIONS

    def __init__(
        self, database: InMemoryDynamoDB, lock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._lock: AbstractContextManager[Any] = nullcontext() if lock is None else lock
        events = ClientEvents()
        self.meta = SimpleNamespace(
            endpoint_url=_ENDPOINT,
            events=events,
            region_name=REGION,
            service_model=SimpleNamespace(service_name=SERVICE),
        )
        for method, operation in OPERATIONS.items():
            setattr(self, method, self._method(getattr(database, method), operation, events))

    def get_paginator(self, operation: str) -> SimpleNamespace:
        """Pages of `query` or `scan`."""
        assert operation in _PAGED, f"{operation} has no pages"
        call: Call = getattr(self, operation)

        def paginate(**request: Any) -> Iterator[dict[str, Any]]:
            while True:
                page = call(**request)
                yield page
                if "LastEvaluatedKey" not in page:
                    return
                request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

        return SimpleNamespace(paginate=paginate)

    def close(self) -> None:
        """There is nothing to close."""

    def _method(self, engine: Call, operation: str, events: ClientEvents) -> Call:
        lock, model = self._lock, SimpleNamespace(name=operation)

        def carry_out(request: dict[str, Any]) -> dict[str, Any]:
            with lock:
                return engine(**request)

        def call(**request: Any) -> dict[str, Any]:
            try:
                if events.used:
                    return _with_events(carry_out, request, model, events)
                return carry_out(request)
            except ClientError as error:
                if error.operation_name:
                    raise
                raise type(error)(error.response, operation) from error.__cause__

        return call


def _with_events(
    carry_out: Callable[[dict[str, Any]], dict[str, Any]],
    request: dict[str, Any],
    model: SimpleNamespace,
    events: ClientEvents,
) -> dict[str, Any]:
    """One call as botocore's BaseClient makes it, event by event."""
    context: dict[str, Any] = {"client_region": REGION}
    about = {"model": model, "context": context}
    name = f"{SERVICE}.{model.name}"
    for _, given in events.emit(f"provide-client-params.{name}", params=request, **about):
        request = request if given is None else given
    events.emit(f"before-parameter-build.{name}", params=request, **about)
    sent = Sent(request)
    _, reported = events.emit_until_response(
        f"before-call.{name}", params=sent, request_signer=None, **about
    )
    if reported is None:
        reported = _sent(carry_out, request, model, events, context)
    http, parsed = reported
    events.emit(f"after-call.{name}", http_response=http, parsed=parsed, **about)
    if http.status_code >= 300:
        code = parsed.get("Error", {}).get("Code")
        raise EXCEPTIONS.from_code(code)(parsed, model.name)
    answered: dict[str, Any] = parsed
    return answered


def _sent(
    carry_out: Callable[[dict[str, Any]], dict[str, Any]],
    request: dict[str, Any],
    model: SimpleNamespace,
    events: ClientEvents,
    context: dict[str, Any],
) -> tuple[SimpleNamespace, dict[str, Any]]:
    """The answer of the engine, also where it is a refusal."""
    name = f"{SERVICE}.{model.name}"
    try:
        events.emit(f"before-send.{name}", request=None)
        return SimpleNamespace(status_code=200, headers={}), carry_out(request)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        response: Any = error.response
        return SimpleNamespace(status_code=status, headers={}), response
    except Exception as error:
        events.emit(f"after-call-error.{name}", exception=error, context=context)
        raise


class InMemoryStreams:
    """A client of DynamoDB Streams: one shard for each table, which never ends."""

    exceptions = EXCEPTIONS

    def __init__(
        self, database: InMemoryDynamoDB, lock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._database = database
        self._lock: AbstractContextManager[Any] = nullcontext() if lock is None else lock

    def describe_stream(self, *, StreamArn: str) -> dict[str, Any]:
        """As the operation of this name."""
        self._found(StreamArn)
        return {"StreamDescription": {"StreamArn": StreamArn, "Shards": [{"ShardId": _SHARD}]}}

    def get_shard_iterator(self, **request: Any) -> dict[str, Any]:
        """As the operation of this name, for TRIM_HORIZON and AFTER_SEQUENCE_NUMBER."""
        arn, kind = request["StreamArn"], request["ShardIteratorType"]
        assert kind in ("TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER"), kind
        _, stream = self._found(arn)
        after = int(request.get("SequenceNumber", stream.trimmed))
        return {"ShardIterator": f"{arn}|{after}"}

    def get_records(self, **request: Any) -> dict[str, Any]:
        """As the operation of this name."""
        arn, _, after = request["ShardIterator"].rpartition("|")
        table, stream = self._found(arn)
        if int(after) < stream.trimmed:
            raise refusal("TrimmedDataAccessException", "The records are not kept any more")
        with self._lock:
            entries = stream.after(int(after), request.get("Limit", _RECORDS_AT_ONCE))
        records = [stream_record(table, entry, self._database.epoch) for entry in entries]
        for record in records:
            change = record["dynamodb"]
            moment = change["ApproximateCreationDateTime"]
            change["ApproximateCreationDateTime"] = datetime.fromtimestamp(moment, UTC)
        last = entries[-1].sequence if entries else int(after)
        return {"Records": records, "NextShardIterator": f"{arn}|{last}"}

    def _found(self, arn: str) -> tuple[Table, Stream]:
        for table in self._database.tables.values():
            if table.stream is not None and table.stream.arn == arn:
                return table, table.stream
        raise refusal("ResourceNotFoundException", f"Requested resource not found: Stream: {arn}")
