"""The tables of one account: made, described, deleted."""

from __future__ import annotations

from typing import Any, Final

from simulation.dynamodb.errors import refusal
from simulation.dynamodb.requests import Answer, answer, only
from simulation.dynamodb.streams import REGION
from simulation.dynamodb.tables import Table

_ACCOUNT: Final = "000000000000"
_CREATE: Final = frozenset(
    {
        "TableName",
        "BillingMode",
        "KeySchema",
        "AttributeDefinitions",
        "GlobalSecondaryIndexes",
        "StreamSpecification",
    }
)
_NAME: Final = frozenset({"TableName"})


class Catalog:
    """Tables by name; each is there as soon as it is made."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """A table. Raises ResourceNotFoundException."""
        found = self.tables.get(name)
        if found is None:
            raise refusal(
                "ResourceNotFoundException", "Cannot do operations on a non-existent table"
            )
        return found

    def create_table(self, **request: Any) -> Answer:
        """As the operation of this name."""
        only(request, _CREATE, "CreateTable")
        name = request["TableName"]
        if name in self.tables:
            raise refusal("ResourceInUseException", "Cannot create preexisting table")
        table = Table(request, f"arn:aws:dynamodb:{REGION}:{_ACCOUNT}:table/{name}")
        self.tables[name] = table
        return answer(TableDescription=_described(table))

    def delete_table(self, **request: Any) -> Answer:
        """As the operation of this name."""
        only(request, _NAME, "DeleteTable")
        table = self.table(request["TableName"])
        del self.tables[table.name]
        return answer(TableDescription=_described(table))

    def describe_table(self, **request: Any) -> Answer:
        """As the operation of this name; ItemCount is exact, as it is in AWS within hours."""
        only(request, _NAME, "DescribeTable")
        return answer(Table=_described(self.table(request["TableName"])))

    def update_time_to_live(self, **request: Any) -> Answer:
        """As the operation of this name, from now on."""
        only(request, _NAME | {"TimeToLiveSpecification"}, "UpdateTimeToLive")
        wanted = request["TimeToLiveSpecification"]
        table = self.table(request["TableName"])
        table.expire_by(wanted["AttributeName"] if wanted["Enabled"] else None)
        return answer(TimeToLiveSpecification=wanted)


def _described(table: Table) -> dict[str, Any]:
    reported = {
        "TableName": table.name,
        "TableArn": table.arn,
        "TableStatus": "ACTIVE",
        "KeySchema": table.wanted["KeySchema"],
        "AttributeDefinitions": table.wanted["AttributeDefinitions"],
        "ItemCount": len(table.items),
    }
    if table.stream is not None:
        reported["StreamSpecification"] = table.wanted["StreamSpecification"]
        reported["LatestStreamArn"] = table.stream.arn
    if table.indexes:
        reported["GlobalSecondaryIndexes"] = [
            {**index, "IndexStatus": "ACTIVE"} for index in table.wanted["GlobalSecondaryIndexes"]
        ]
    return reported
