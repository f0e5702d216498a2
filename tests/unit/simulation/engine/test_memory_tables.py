"""Tables of the in-memory engine: delayed effects, and what other requests cannot test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulation.dynamodb import InMemoryStreams, Unsupported
from simulation.dynamodb.errors import EXCEPTIONS
from tests.support.engines.memory_tables import EPOCH, TABLE, MemoryTable, item, put

DAY = 24 * 3600


@pytest.fixture
def memory() -> MemoryTable:
    return MemoryTable()


# ------------------------------------------------------------ indexes


def test_an_index_follows_its_table_in_the_order_of_each_item(memory: MemoryTable) -> None:
    memory.lag = 5.0
    memory.put("a", owner="one")
    memory.now, memory.lag = 1.0, 0.5
    memory.put("a", owner="two")
    memory.put("b", owner="one")
    assert (memory.owned("one"), memory.owned("two")) == ([], [])
    memory.now = 1.5
    assert (memory.owned("one"), memory.owned("two")) == (["b"], [])
    memory.now = 5.0
    assert (memory.owned("one"), memory.owned("two")) == (["b"], ["a"])


def test_an_index_drops_items_that_lost_their_key_or_were_deleted(memory: MemoryTable) -> None:
    for name in ("a", "b", "c"):
        memory.put(name, owner="one")
    memory.put("a")
    memory.delete("b")
    memory.put("c", owner="one", more="x")
    assert memory.owned("one") == ["c"]


# ------------------------------------------------------------ reads that lag


def test_an_eventually_consistent_read_may_return_an_items_previous_version(
    memory: MemoryTable,
) -> None:
    memory.put("a", more="old")
    memory.now, memory.lag = 10.0, 0.5
    memory.put("a", more="new")
    asked: dict[str, Any] = {"TableName": TABLE, "Key": item("a")}
    keys: dict[str, Any] = {TABLE: {"Keys": [item("a")]}}
    assert memory.read("a") == item("a", more="old")
    assert memory.client.batch_get_item(RequestItems=keys)["Responses"][TABLE] == [
        item("a", more="old")
    ]
    assert memory.client.get_item(**asked, ConsistentRead=True)["Item"] == item("a", more="new")
    keys[TABLE]["ConsistentRead"] = True
    assert memory.client.batch_get_item(RequestItems=keys)["Responses"][TABLE] == [
        item("a", more="new")
    ]
    memory.now = 10.5
    assert memory.read("a") == item("a", more="new")


# ------------------------------------------------------------ scans


def scanned(memory: MemoryTable, **request: Any) -> list[str]:
    pages = memory.client.get_paginator("scan").paginate(TableName=TABLE, **request)
    return [each["id"]["S"] for page in pages for each in page["Items"]]


def test_segments_cover_the_table_once_and_a_start_key_may_be_gone(
    memory: MemoryTable,
) -> None:
    names = [f"{number:02}" for number in range(40)]
    for name in names:
        memory.put(name)
    parts = [scanned(memory, Segment=n, TotalSegments=3, Limit=2) for n in range(3)]
    assert sorted(name for part in parts for name in part) == names
    assert all(parts)
    whole = scanned(memory)
    memory.delete(whole[10])
    assert scanned(memory, ExclusiveStartKey=item(whole[10])) == whole[11:]


# ------------------------------------------------------------ time to live


def expiring(memory: MemoryTable, name: str, second: float) -> None:
    stored = item(name) | {"until": {"N": str(second)}}
    memory.client.put_item(TableName=TABLE, Item=stored)


def test_an_expired_item_is_deleted_once_unless_it_is_in_use_or_was_extended(
    memory: MemoryTable,
) -> None:
    expiring(memory, "before", EPOCH + 5)
    memory.client.update_time_to_live(
        TableName=TABLE,
        TimeToLiveSpecification={"AttributeName": "until", "Enabled": True},
    )
    expiring(memory, "after", EPOCH + 10)
    expiring(memory, "longer", EPOCH + 10)
    expiring(memory, "longer", EPOCH + 20)
    expiring(memory, "in use", EPOCH + 10)
    memory.client.put_item(TableName=TABLE, Item=item("text", until="5"))
    transaction = memory.database.begin([put("in use", until="x")], None)
    memory.now = 10.0
    assert memory.database.expire() == 1, "an item expires after its second"
    memory.now = 10.5
    assert memory.database.expire() == 1
    assert not memory.read("before")
    assert not memory.read("after")
    record = memory.database.record(memory.table, memory.records[-1])
    assert record["eventName"] == "REMOVE"
    assert record["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    memory.database.finish(transaction)
    memory.now = 30.0
    assert memory.database.expire() == 1, "only the item that expires at 20"
    assert memory.database.expire() == 0
    assert memory.read("text")
    assert memory.read("in use")


# ------------------------------------------------------------ streams


def test_a_write_without_a_change_has_no_record(memory: MemoryTable) -> None:
    memory.put("a", x="1")
    memory.put("a", x="1")
    memory.delete("b")
    memory.client.update_item(
        TableName=TABLE,
        Key=item("a"),
        UpdateExpression="SET x = :x",
        ExpressionAttributeValues={":x": {"S": "1"}},
    )
    assert len(memory.records) == 1


def test_a_record_has_lambdas_format(memory: MemoryTable) -> None:
    memory.now = 7.9
    values: dict[str, Any] = {"B": b"\x00"}, {"BS": [b"a"]}, {"L": [{"B": b"b"}]}
    stored = item("a") | {f"v{n}": value for n, value in enumerate(values)}
    stored |= {"m": {"M": {"x": {"B": b"c"}}}}
    memory.client.put_item(TableName=TABLE, Item=stored)
    record = memory.database.record(memory.table, memory.records[0])
    assert json.loads(json.dumps(record)) == record
    assert (
        record["eventSourceARN"]
        == memory.client.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]
    )
    assert record["eventName"] == "INSERT"
    assert record["dynamodb"]["ApproximateCreationDateTime"] == EPOCH + 7
    assert record["dynamodb"]["Keys"] == item("a")
    assert record["dynamodb"]["NewImage"] == item("a") | {
        "v0": {"B": "AA=="},
        "v1": {"BS": ["YQ=="]},
        "v2": {"L": [{"B": "Yg=="}]},
        "m": {"M": {"x": {"B": "Yw=="}}},
    }
    assert "OldImage" not in record["dynamodb"]


def test_records_can_be_read_from_any_position_until_they_are_a_day_old(
    memory: MemoryTable,
) -> None:
    streams = InMemoryStreams(memory.database)
    arn = memory.client.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    place = {"StreamArn": arn, "ShardId": shard["ShardId"]}
    start = streams.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    for number in range(1200):
        memory.put("a", x=f"{number}")
    page = streams.get_records(ShardIterator=start, Limit=100)
    assert len(page["Records"]) == 100
    number = page["Records"][-1]["dynamodb"]["SequenceNumber"]
    behind = streams.get_shard_iterator(
        **place, ShardIteratorType="AFTER_SEQUENCE_NUMBER", SequenceNumber=number
    )["ShardIterator"]
    rest = streams.get_records(ShardIterator=behind)
    assert rest == streams.get_records(ShardIterator=page["NextShardIterator"])
    memory.now = DAY + 1.0
    memory.put("b")
    with pytest.raises(EXCEPTIONS.TrimmedDataAccessException):
        streams.get_records(ShardIterator=start)
    again = streams.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    kept = streams.get_records(ShardIterator=again)["Records"]
    assert [record["dynamodb"]["Keys"] for record in kept] == [item("b")]


# ------------------------------------------------------------ unsupported expressions


@pytest.mark.parametrize(
    "request_of",
    [
        {"ConditionExpression": "NOT attribute_exists(id)"},
        {"ConditionExpression": "attribute_type(id, :v)"},
        {"ConditionExpression": "a.b = :v"},
        {"ConditionExpression": "a[0] = :v"},
        {"ConditionExpression": "a <> :v"},
        {"ConditionExpression": "a = b"},
        {"ConditionExpression": "contains(a, :v)"},
        {"ReturnValues": "ALL_OLD"},
        {"Expected": {}},
        {"ReturnItemCollectionMetrics": "SIZE"},
    ],
)
def test_an_unsupported_condition_raises(memory: MemoryTable, request_of: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        memory.client.put_item(TableName=TABLE, Item=item("a"), **request_of)


@pytest.mark.parametrize(
    "expression",
    [
        "SET a = b",
        "SET a = b + c",
        "SET a = :v + b",
        "SET a = list_append(:v, a)",
        "SET a.b = :v",
        "DELETE a :v",
        "SET a = :v SET b = :v",
    ],
)
def test_an_unsupported_update_raises(memory: MemoryTable, expression: str) -> None:
    with pytest.raises(Unsupported):
        memory.client.update_item(
            TableName=TABLE,
            Key=item("a"),
            UpdateExpression=expression,
            ExpressionAttributeValues={":v": {"N": "1"}},
        )
