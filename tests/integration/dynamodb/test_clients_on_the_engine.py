"""Both clients on AWS's own engine: the same answers and errors to the same requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engines.both_clients import botocores, lean, outcome
from tests.support.engines.engine import Engine

SEALED = {"B": bytes(range(256))}
MANY = {"SS": ["a", "b"]}
ITEM = {
    "id": {"S": "one"},
    "n": {"N": "1"},
    "sealed": SEALED,
    "parts": {"BS": [b"\x00", b"\xff"]},
    "B": {"M": {"B": {"L": [{"B": b"x"}, {"NULL": True}]}, "BS": {"S": "no set"}}},
    "text": {"S": "Grüße 😀 \u0001"},
    "names": MANY,
    "flag": {"BOOL": True},
}
ONE, TWO, NONE = ({"id": {"S": name}} for name in ("one", "two", "none"))
NEW = {
    "ConditionExpression": "attribute_not_exists(id)",
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
ADD = {
    "UpdateExpression": "SET n = n + :one, sealed = :sealed",
    "ExpressionAttributeValues": {":one": {"N": "1"}, ":sealed": SEALED},
}
TABLE = "story"


def _table(**request: Any) -> dict[str, Any]:
    return {"TableName": TABLE, **request}


def _token(name: str, *writes: dict[str, Any]) -> dict[str, Any]:
    return {"TransactItems": list(writes), "ClientRequestToken": name}


PUT_ONE, PUT_TWO = {"Put": _table(Item=ITEM)}, {"Put": _table(Item={**ITEM, **TWO}, **NEW)}
CHECK_NONE = {
    "ConditionCheck": _table(
        Key=NONE,
        ConditionExpression="attribute_exists(id)",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
}
BY_ID = {
    "KeyConditionExpression": "id = :id",
    "ExpressionAttributeValues": {":id": {"S": "one"}},
}
STORY: list[tuple[str, dict[str, Any], str]] = [
    ("get_item", _table(Key=ONE), "answer"),
    ("put_item", _table(Item=ITEM, **NEW), "answer"),
    ("put_item", _table(Item=ITEM, **NEW), "ConditionalCheckFailedException"),
    ("get_item", _table(Key=ONE, ConsistentRead=True), "answer"),
    ("update_item", _table(Key=ONE, ReturnValues="ALL_NEW", **ADD), "answer"),
    ("update_item", _table(Key=NONE, **ADD), "ClientError"),
    ("transact_write_items", _token("first", PUT_TWO), "answer"),
    ("transact_write_items", _token("first", PUT_TWO), "answer"),
    ("transact_write_items", _token("first", PUT_ONE), "IdempotentParameterMismatchException"),
    ("transact_write_items", _token("second", PUT_TWO), "TransactionCanceledException"),
    (
        "transact_write_items",
        _token("third", {"Update": _table(Key=ONE, **ADD)}, CHECK_NONE, PUT_TWO),
        "TransactionCanceledException",
    ),
    ("transact_write_items", _token("fourth", PUT_ONE, PUT_ONE), "ClientError"),
    ("query", _table(ConsistentRead=True, Limit=20, **BY_ID), "answer"),
    ("query", _table(IndexName="missing", **BY_ID), "ClientError"),
    ("scan", _table(Limit=1), "answer"),
    ("scan", _table(Segment=0, TotalSegments=2), "answer"),
    ("scan", _table(Segment=3, TotalSegments=2), "ClientError"),
    ("batch_get_item", {"RequestItems": {TABLE: {"Keys": [ONE, NONE]}}}, "answer"),
    ("batch_get_item", {"RequestItems": {TABLE: {"Keys": [ONE, ONE]}}}, "ClientError"),
    (
        "transact_get_items",
        {"TransactItems": [{"Get": _table(Key=key)} for key in (ONE, NONE)]},
        "answer",
    ),
    ("transact_get_items", {"TransactItems": []}, "ClientError"),
    ("delete_item", _table(Key=ONE, ReturnValues="ALL_OLD"), "answer"),
    (
        "delete_item",
        _table(Key=ONE, ConditionExpression="attribute_exists(id)"),
        "ConditionalCheckFailedException",
    ),
    ("get_item", _table(Key={"id": {"N": "1"}}), "ClientError"),
    ("put_item", _table(Item={**ONE, "large": {"S": "x" * 410_000}}), "ClientError"),
    ("put_item", _table(Item={**ONE, "odd": {"N": "one"}}), "ClientError"),
    ("get_item", {"TableName": "missing", "Key": ONE}, "ResourceNotFoundException"),
]


@pytest.fixture
def clients(dynamodb_local_engine: Engine) -> Iterator[list[Any]]:
    """The lean client, then botocore's; DynamoDB Local keeps one database per access key."""
    url = dynamodb_local_engine.endpoint_url
    assert url is not None
    both = [lean(url, read_seconds=60), botocores(url, read_seconds=60)]
    yield both
    for client in both:
        client.close()


def test_both_clients_see_the_same_at_every_step(clients: list[Any]) -> None:
    botocore = clients[1]
    stories = []
    for name, client in zip(("lean", "botocore"), clients, strict=True):
        botocore.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        stories.append([_seen(client, method, _own(request, name)) for method, request, _ in STORY])
        botocore.delete_table(TableName=TABLE)
    ours, theirs = stories
    for (method, request, expected), mine, judge in zip(STORY, ours, theirs, strict=True):
        assert mine == judge, (method, request)
        assert mine[0] == expected, (method, request, mine)


def _own(request: dict[str, Any], name: str) -> dict[str, Any]:
    """With a token that the other client has not used: the engine keeps them."""
    if (token := request.get("ClientRequestToken")) is None:
        return request
    return {**request, "ClientRequestToken": f"{name}-{token}"}


def _seen(client: Any, method: str, request: dict[str, Any]) -> tuple[str, Any]:
    """Without what differs between two requests: their ids and times."""
    kind, what = outcome(client, method, request)
    response = what if kind == "answer" else what[0]
    metadata = response.pop("ResponseMetadata")
    headers = metadata["HTTPHeaders"]
    assert metadata["RequestId"] == headers["x-amzn-requestid"]
    return kind, (metadata["HTTPStatusCode"], metadata["RetryAttempts"], what)
