"""A small table in memory, with a clock that tests move."""

from __future__ import annotations

from typing import Any

from simulation.dynamodb import Change, InMemoryClient, InMemoryDynamoDB, StreamEntry, Table

TABLE = "accounts"
EPOCH = 1_773_478_800.0
WANTED: dict[str, Any] = {
    "TableName": TABLE,
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "owner", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-owner",
            "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


class MemoryTable:
    """The table, its stream records, and operations for tests."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lag = 0.0
        self.database = InMemoryDynamoDB(
            now=lambda: self.now, epoch=EPOCH, index_lag=lambda: self.lag
        )
        self.client: Any = InMemoryClient(self.database)
        self.client.create_table(**WANTED)
        self.commits: list[list[Change]] = []
        self.records: list[StreamEntry] = []
        self.database.on_commit.append(self.commits.append)
        self.database.on_record.append(lambda _, entry: self.records.append(entry))

    @property
    def table(self) -> Table:
        return self.database.tables[TABLE]

    def put(self, identifier: str, **values: str) -> None:
        self.client.put_item(TableName=TABLE, Item=item(identifier, **values))

    def delete(self, identifier: str) -> None:
        self.client.delete_item(TableName=TABLE, Key=item(identifier))

    def read(self, identifier: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.client.get_item(
            TableName=TABLE, Key=item(identifier)
        ).get("Item")
        return found

    def owned(self, owner: str) -> list[str]:
        """Ids in the order of the index."""
        answer = self.client.query(
            TableName=TABLE,
            IndexName="by-owner",
            KeyConditionExpression="#o = :o",
            ExpressionAttributeNames={"#o": "owner"},
            ExpressionAttributeValues={":o": {"S": owner}},
        )
        return [each["id"]["S"] for each in answer["Items"]]


def item(identifier: str, **values: str) -> dict[str, Any]:
    return {"id": {"S": identifier}} | {name: {"S": value} for name, value in values.items()}


def put(identifier: str, **values: str) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE, "Item": item(identifier, **values)}}


def absent(identifier: str, **values: str) -> dict[str, Any]:
    """Put an item that must not exist yet."""
    action = put(identifier, **values)
    action["Put"] |= {
        "ConditionExpression": "attribute_not_exists(id)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return action


def check(identifier: str) -> dict[str, Any]:
    return {
        "ConditionCheck": {
            "TableName": TABLE,
            "Key": item(identifier),
            "ConditionExpression": "attribute_exists(id)",
        }
    }
