"""IAM's part on engines that do not judge: what a function was not given, its client refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stacks.permissions import TableUse, TableUses

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PARTS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}
"""A transaction needs the right to each of its parts (DynamoDB Developer Guide, "Using IAM with
DynamoDB transactions")."""


def hold_to(client: DynamoDBClient, uses: TableUses, tables: Mapping[str, str]) -> None:
    """From now on the client may do what `uses` allows, and no more."""
    names = {physical: name for name, physical in tables.items()}

    def judge(params: dict[str, Any], model: Any, **_: Any) -> None:
        _judge_attributes(model.name, params, uses, names)
        for action, table, index in _actions(model.name, params):
            use = uses.get(names.get(table, table))
            allowed: tuple[str, ...] = ()
            if use is not None:
                allowed = use.queried_indexes if index else _allowed(use)
            if (index or action) not in allowed:
                place = names.get(table, table) + (f"/index/{index}" if index else "")
                raise _denied(model.name, f"no right to {action} on {place}")

    client.meta.events.register("provide-client-params.dynamodb", judge)


def _judge_attributes(
    operation: str, params: Mapping[str, Any], uses: TableUses, names: Mapping[str, str]
) -> None:
    """Of some tables a function may read what it names, and name no more than it was given."""
    table = names.get(params.get("TableName", ""), "")
    use = uses.get(table)
    if operation != "GetItem" or use is None or not use.attributes:
        return
    placeholders = params.get("ExpressionAttributeNames", {})
    projection = params.get("ProjectionExpression", "")
    wanted = {placeholders.get(each.strip(), each.strip()) for each in projection.split(",")}
    if not wanted <= set(use.attributes):
        raise _denied(operation, f"no right to {wanted - set(use.attributes)} of {table}")


def _allowed(use: TableUse) -> tuple[str, ...]:
    # Which keys may be deleted is a condition of the policy; the template's tests hold it.
    return (*use.actions, "DeleteItem") if use.deletable else use.actions


def _denied(operation: str, message: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": "AccessDeniedException", "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": 400},
        },
        operation,
    )


def _actions(operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Action, table and index of each right that a call needs."""
    if operation == "TransactWriteItems":
        for part in params["TransactItems"]:
            ((kind, body),) = part.items()
            yield _PARTS[kind], body["TableName"], None
    elif operation == "BatchGetItem":
        for table in params["RequestItems"]:
            yield operation, table, None
    else:
        yield operation, params["TableName"], params.get("IndexName")
