"""The units that we compute are those that the engines report, on many shapes.

Writes against the embedded AWS, which knows that transactions cost twice and what indexes take;
reads against AWS's own engine: the embedded one calls every read one unit.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.meter import Meter, TableShape
from runtime.domain.capacity import IndexShape
from tests.support.engines import Engine

SHAPES = 40


class Bench:
    """A table with two indexes, one of them showing everything, and a metered client."""

    def __init__(self, engine: Engine) -> None:
        self.table = f"c{uuid.uuid4().hex[:10]}"
        self.client = engine.dynamodb()
        keys = frozenset({"id", "owner"})
        shape = TableShape(
            "things",
            ("id",),
            (
                IndexShape("keys", ("owner",), keys),
                IndexShape("all", ("state",), None),
            ),
        )
        self.spare = engine.dynamodb()
        self.spare.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("id", "owner", "state")
            ],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": name,
                    "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": projection},
                }
                for name, key, projection in (
                    ("keys", "owner", "KEYS_ONLY"),
                    ("all", "state", "ALL"),
                )
            ],
        )
        self.meter = Meter(self.client, {self.table: shape}, self.spare)

    def call(self, operation: str, **request: Any) -> tuple[Any, Any]:
        """What we computed, and what the engine says."""
        with self.meter.measure() as usage:
            answer = getattr(self.client, operation)(**request, ReturnConsumedCapacity="INDEXES")
        return usage, answer["ConsumedCapacity"]


@pytest.fixture
def bench(ministack_engine: Engine) -> Iterator[Bench]:
    made = Bench(ministack_engine)
    yield made
    made.spare.delete_table(TableName=made.table)


@pytest.fixture
def reading(dynamodb_local_engine: Engine) -> Iterator[Bench]:
    made = Bench(dynamodb_local_engine)
    yield made
    made.spare.delete_table(TableName=made.table)


def value(dice: random.Random) -> dict[str, Any]:
    """A value of any type."""
    kinds = {
        "S": lambda: "ü" * dice.randint(0, 30),
        "N": lambda: str(dice.choice([0, 7, -15, 1000, 123456789, 10**12])),
        "B": lambda: dice.randbytes(dice.randint(1, 60)),
        "BOOL": lambda: True,
        "NULL": lambda: True,
        "SS": lambda: ["a", "bcd"],
        "L": lambda: [{"S": "x"}, {"N": "12"}],
        "M": lambda: {"k": {"S": "v"}, "list": {"L": [{"BOOL": False}]}},
    }
    kind = dice.choice(list(kinds))
    return {kind: kinds[kind]()}


def item(dice: random.Random, identifier: str) -> dict[str, Any]:
    """Near a multiple of 1 KB, with or without the indexes' keys, with values of all types."""
    row: dict[str, Any] = {"id": {"S": identifier}}
    if dice.random() < 0.7:
        row["owner"] = {"S": dice.choice("ab")}
    if dice.random() < 0.5:
        row["state"] = {"S": dice.choice("xy")}
    for n in range(dice.randint(0, 5)):
        row[f"a{n}"] = value(dice)
    row["filler"] = {"S": "p" * max(1, dice.choice([1, 1024, 2048, 5000]) - dice.randint(0, 400))}
    return row


def units(consumed: Any) -> tuple[float, dict[str, float]]:
    indexes = consumed.get("GlobalSecondaryIndexes", {})
    return (
        consumed["Table"]["CapacityUnits"],
        {name: use["CapacityUnits"] for name, use in indexes.items() if use["CapacityUnits"]},
    )


def computed(usage: Any) -> tuple[float, dict[str, float]]:
    indexes = {
        name.partition("/")[2]: float(n) for name, n in usage.write_units.items() if "/" in name
    }
    return float(usage.write_units["things"]), indexes


def test_plain_writes_of_many_shapes(bench: Bench, dice: random.Random) -> None:
    for n in range(SHAPES):
        row = item(dice, f"r{n % 5}")
        operation = dice.choice(["put_item", "put_item", "update_item", "delete_item"])
        if operation == "put_item":
            usage, told = bench.call(operation, TableName=bench.table, Item=row)
        elif operation == "delete_item":
            usage, told = bench.call(operation, TableName=bench.table, Key={"id": row["id"]})
        else:
            usage, told = bench.call(
                operation,
                TableName=bench.table,
                Key={"id": row["id"]},
                UpdateExpression="SET filler = :p, #o = :o",
                ExpressionAttributeNames={"#o": "owner"},
                ExpressionAttributeValues={":p": row["filler"], ":o": {"S": dice.choice("ab")}},
            )
        assert (usage.round_trips, usage.items_written) == (1, 1)
        table, indexes = computed(usage)
        assert table == units(told)[0], (operation, row)
        told_indexes = units(told)[1]
        if told_indexes:
            assert indexes == told_indexes, (operation, row)


def test_transactions_cost_twice_and_indexes_do_not(bench: Bench, dice: random.Random) -> None:
    for n in range(SHAPES // 2):
        rows = [item(dice, f"t{n}-{k}") for k in range(3)]
        actions: list[Any] = [{"Put": {"TableName": bench.table, "Item": row}} for row in rows]
        if n % 2:
            check = {
                "TableName": bench.table,
                "Key": {"id": {"S": "nobody"}},
                "ConditionExpression": "attribute_not_exists(id)",
            }
            actions.append({"ConditionCheck": check})
        usage, (told,) = bench.call("transact_write_items", TransactItems=actions)
        indexes = told["GlobalSecondaryIndexes"].items() if "GlobalSecondaryIndexes" in told else ()
        assert computed(usage) == (
            told["WriteCapacityUnits"],
            {name: use["WriteCapacityUnits"] for name, use in indexes if use["CapacityUnits"]},
        )
        assert usage.items_written == len(actions)
        assert usage.all_write_units == told["CapacityUnits"]


def test_reads_of_many_shapes(reading: Bench, dice: random.Random) -> None:
    bench = reading
    rows = [item(dice, f"r{n}") for n in range(12)]
    for row in rows:
        bench.spare.put_item(TableName=bench.table, Item=row)
    for consistent in (True, False):
        for row in rows:
            usage, told = bench.call(
                "get_item", TableName=bench.table, Key={"id": row["id"]}, ConsistentRead=consistent
            )
            assert usage.read_units == told["CapacityUnits"], row
            usage, told = bench.call(
                "query",
                TableName=bench.table,
                KeyConditionExpression="id = :id",
                ExpressionAttributeValues={":id": row["id"]},
                ConsistentRead=consistent,
            )
            assert usage.read_units == told["CapacityUnits"], row
        request = {
            bench.table: {"Keys": [{"id": r["id"]} for r in rows], "ConsistentRead": consistent}
        }
        usage, told = bench.call("batch_get_item", RequestItems=request)
        assert usage.read_units == told[0]["CapacityUnits"]
        assert usage.items_read == len(rows)
        usage, told = bench.call("scan", TableName=bench.table, ConsistentRead=consistent)
        assert usage.read_units == told["CapacityUnits"]


def test_a_row_that_is_not_there_costs_as_much_as_a_small_one(reading: Bench) -> None:
    """Developer Guide, "DynamoDB read and write operations"; the engine on this machine says 0."""
    usage, _ = reading.call(
        "get_item", TableName=reading.table, Key={"id": {"S": "nobody"}}, ConsistentRead=True
    )
    assert (usage.read_units, usage.items_read) == (1, 0)


def test_a_transactional_read_costs_twice(reading: Bench) -> None:
    row = {"id": {"S": "r"}, "filler": {"S": "x" * 5000}}
    reading.spare.put_item(TableName=reading.table, Item=row)
    get = {"Get": {"TableName": reading.table, "Key": {"id": row["id"]}}}
    usage, _ = reading.call("transact_get_items", TransactItems=[get])
    assert usage.read_units == 4
