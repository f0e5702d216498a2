"""IAM on engines that do not check permissions: a function's client refuses what is not granted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from runtime.settings.table_uses import TableUse, TableUses
from runtime.tables import ALL_TABLES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PARTS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}
"""A transaction needs the right to each of its parts (DynamoDB Developer Guide, "Using IAM with
DynamoDB transactions")."""
_PARTITIONS = {schema.name: schema.key_names[0] for schema in ALL_TABLES}


def restrict_to(client: DynamoDBClient, uses: TableUses, tables: Mapping[str, str]) -> None:
    """Limit the client to what `uses` allows."""
    names = {physical: name for name, physical in tables.items()}

    def judge(params: dict[str, Any], model: Any, **_: Any) -> None:
        _judge_attributes(model.name, params, uses, names)
        for right in _rights(model.name, params):
            place = names.get(right.table, right.table)
            if not _is_given(right, place, uses.get(place)):
                place += f"/index/{right.index}" if right.index else ""
                raise _denied(model.name, f"no permission for {right.action} on {place}")

    client.meta.events.register("provide-client-params.dynamodb", judge)


@dataclass(frozen=True, slots=True)
class _Right:
    """The permission for a call, or one part of it: `key` is that of the one row it is for."""

    action: str
    table: str
    index: str | None = None
    key: Mapping[str, Any] = field(default_factory=dict)


def _is_given(right: _Right, table: str, use: TableUse | None) -> bool:
    if use is None:
        return False
    if right.index:
        return right.index in use.queried_indexes
    if right.action in use.actions:
        return True
    patterns = next((each for action, each in use.by_key.items() if action == right.action), ())
    partition = right.key.get(_PARTITIONS.get(table, ""), {}).get("S", "")
    return any(fnmatchcase(partition, pattern) for pattern in patterns)


def _judge_attributes(
    operation: str, params: Mapping[str, Any], uses: TableUses, names: Mapping[str, str]
) -> None:
    """Of some tables a function may read only named attributes, and must name them."""
    reads: dict[str, Mapping[str, Any]] = {}
    if operation == "GetItem":
        reads = {params["TableName"]: params}
    elif operation == "BatchGetItem":
        reads = params["RequestItems"]
    for physical, read in reads.items():
        table = names.get(physical, "")
        use = uses.get(table)
        if use is None or not use.attributes:
            continue
        placeholders = read.get("ExpressionAttributeNames", {})
        projection = read.get("ProjectionExpression", "")
        wanted = {placeholders.get(each.strip(), each.strip()) for each in projection.split(",")}
        if not wanted <= set(use.attributes):
            raise _denied(operation, f"no permission for {wanted - set(use.attributes)} of {table}")


def _denied(operation: str, message: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": "AccessDeniedException", "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": 400},
        },
        operation,
    )


def _rights(operation: str, params: Mapping[str, Any]) -> Iterator[_Right]:
    """Each permission that a call needs."""
    if operation in ("TransactGetItems", "TransactWriteItems"):
        for part in params["TransactItems"]:
            ((kind, body),) = part.items()
            yield _Right(_PARTS[kind], body["TableName"], key=body.get("Key", {}))
    elif operation == "BatchGetItem":
        for table in params["RequestItems"]:
            yield _Right(operation, table)
    else:
        key = params.get("Key", {})
        yield _Right(operation, params["TableName"], params.get("IndexName"), key)
