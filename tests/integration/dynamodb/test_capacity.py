"""The meter's units compared with those that the engines report, for every kind of call.

The emulator reports transactions as AWS does, DynamoDB Local does not; DynamoDB Local reports reads
by size, the emulator does not. So each engine is trusted where it is correct. The in-memory engine
is compared with both.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from benchmarks.bill.meter import Meter, NotMetered, Traffic
from tests.support.engines.engine import Engine
from tests.support.engines.faults import Fault, Faults, at_commit
from tests.support.platform import Platform

Attributes = dict[str, dict[str, Any]]
Units = dict[tuple[str, str | None], float]
RANDOM_WRITES = 60
ASK = {"ReturnConsumedCapacity": "INDEXES"}

EVERY_TYPE: Attributes = {
    "text": {"S": "naïve 😀"},
    "number": {"N": "-12345.678"},
    "large": {"N": "1e30"},
    "bytes": {"B": b"\x00" * 33},
    "flag": {"BOOL": True},
    "nothing": {"NULL": True},
    "words": {"SS": ["one", "two"]},
    "numbers": {"NS": ["1", "22", "-333"]},
    "blobs": {"BS": [b"a", b"bc"]},
    "list": {"L": [{"S": "a"}, {"N": "1"}, {"L": []}]},
    "map": {"M": {"inner": {"M": {"deep": {"S": "x"}}}, "n": {"N": "0"}}},
}


class Bench:
    """A table with indexes of every projection, one without any, and a metered client."""

    def __init__(self, engine: Engine) -> None:
        suffix = uuid.uuid4().hex[:8]
        self.indexed, self.bare = f"indexed-{suffix}", f"bare-{suffix}"
        self.client, self.reader = engine.dynamodb(), engine.dynamodb()
        self._create(self.indexed, self._indexes())
        self._create(self.bare, [])
        self.meter = Meter(self.reader)
        self.meter.attach(self.client)

    def _create(self, table: str, indexes: list[dict[str, Any]]) -> None:
        names = ("id", "part", "owner", "state") if indexes else ("id", "part")
        more: dict[str, Any] = {"GlobalSecondaryIndexes": indexes} if indexes else {}
        self.reader.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=_key("id", "part"),
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            **more,
        )

    def _indexes(self) -> list[dict[str, Any]]:
        shown = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["shown"]}
        return [
            {
                "IndexName": "keys",
                "KeySchema": _key("owner", "part"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
            {"IndexName": "some", "KeySchema": _key("owner", "state"), "Projection": shown},
            {
                "IndexName": "all",
                "KeySchema": _key("state"),
                "Projection": {"ProjectionType": "ALL"},
            },
        ]

    def drop(self) -> None:
        for table in (self.indexed, self.bare):
            self.reader.delete_table(TableName=table)

    def must_agree(self, call: Callable[..., Any], **request: Any) -> None:
        """The units that the engine reports for a call match the meter's."""
        self.meter.reset()
        answer = call(**request, **ASK)
        counted = {place: float(units) for place, units in self.meter.written.items() if units}
        assert counted | self.meter.read == _reported(answer), request
        assert self.meter.round_trips == 1

    def place(self, item: Attributes) -> None:
        """Store an item, uncounted."""
        self.reader.put_item(TableName=self.indexed, Item=item)


def _key(*names: str) -> list[Any]:
    kinds = zip(names, ("HASH", "RANGE"), strict=False)
    return [{"AttributeName": name, "KeyType": kind} for name, kind in kinds]


def _reported(answer: Mapping[str, Any]) -> Units:
    capacity = answer["ConsumedCapacity"]
    units: Units = {}
    for table in capacity if isinstance(capacity, list) else [capacity]:
        name, indexes = table["TableName"], table.get("GlobalSecondaryIndexes", {})
        of_indexes = {(name, index): float(u["CapacityUnits"]) for index, u in indexes.items()}
        own = float(table["CapacityUnits"]) - sum(of_indexes.values())
        units |= {place: each for place, each in of_indexes.items() if each}
        units |= {(name, None): own} if own else {}
    return units


@pytest.fixture
def emulator(ministack_engine: Engine) -> Iterator[Bench]:
    bench = Bench(ministack_engine)
    yield bench
    bench.drop()


@pytest.fixture
def amazon(dynamodb_local_engine: Engine) -> Iterator[Bench]:
    bench = Bench(dynamodb_local_engine)
    yield bench
    bench.drop()


@pytest.fixture
def memory(in_memory_engine: Engine) -> Iterator[Bench]:
    bench = Bench(in_memory_engine)
    yield bench
    bench.drop()


@pytest.fixture(params=["emulator", "memory"])
def writer(request: pytest.FixtureRequest) -> Bench:
    """On an engine that reports writes and transactions as AWS does."""
    bench: Bench = request.getfixturevalue(request.param)
    return bench


@pytest.fixture(params=["emulator", "amazon", "memory"])
def either(request: pytest.FixtureRequest) -> Bench:
    bench: Bench = request.getfixturevalue(request.param)
    return bench


def key(identifier: str = "1") -> Attributes:
    return {"id": {"S": identifier}, "part": {"S": "p"}}


def item(identifier: str = "1", **values: str) -> Attributes:
    return key(identifier) | {name: {"S": value} for name, value in values.items()}


WHOLE = item(owner="o", state="s", shown="x", hidden="y")
IMAGES: list[tuple[str, Attributes | None, Attributes]] = [
    ("a new item without entries", None, item()),
    ("a new item with all entries", None, WHOLE),
    ("a new item with one entry", None, item(owner="o")),
    ("every type", None, item(owner="o", state="s") | EVERY_TYPE),
    ("the same again", WHOLE, WHOLE),
    ("an attribute that one index shows", WHOLE, WHOLE | item(shown="z")),
    ("an attribute that only ALL shows", WHOLE, WHOLE | item(hidden="z")),
    ("a key of two indexes", WHOLE, WHOLE | item(state="t")),
    ("keys of all indexes", WHOLE, WHOLE | item(owner="p", state="t")),
    ("out of two indexes", WHOLE, item(owner="o", hidden="y")),
    ("into two indexes", item(owner="o"), WHOLE),
    ("smaller than before", WHOLE | item(hidden="h" * 2600), WHOLE),
    ("larger than before", WHOLE, WHOLE | item(hidden="h" * 2600)),
    ("a large entry that moves", WHOLE | item(hidden="h" * 1500), WHOLE | item(state="t")),
    *(
        (f"{size} bytes", None, item(owner="o", body="b" * (size - len("id1partpownerobody"))))
        for size in (1023, 1024, 1025, 2048, 2049)
    ),
]
CASES = pytest.mark.parametrize(
    ("before", "after"), [case[1:] for case in IMAGES], ids=[case[0] for case in IMAGES]
)


@CASES
def test_a_plain_put_is_priced_as_the_engine_does(
    writer: Bench, before: Attributes | None, after: Attributes
) -> None:
    if before is not None:
        writer.place(before)
    writer.must_agree(writer.client.put_item, TableName=writer.indexed, Item=after)


@CASES
def test_a_put_in_a_transaction_is_priced_as_the_engine_does(
    writer: Bench, before: Attributes | None, after: Attributes
) -> None:
    if before is not None:
        writer.place(before)
    writer.must_agree(
        writer.client.transact_write_items,
        TransactItems=[{"Put": {"TableName": writer.indexed, "Item": after}}],
    )


@CASES
def test_a_plain_put_into_a_bare_table_is_priced_as_aws_does(
    amazon: Bench, before: Attributes | None, after: Attributes
) -> None:
    if before is not None:
        amazon.reader.put_item(TableName=amazon.bare, Item=before)
    amazon.must_agree(amazon.client.put_item, TableName=amazon.bare, Item=after)


def test_items_of_many_shapes_are_priced_as_the_engine_does(
    writer: Bench, dice: random.Random
) -> None:
    for _ in range(RANDOM_WRITES):
        names = dice.sample(sorted(EVERY_TYPE), dice.randint(0, 5))
        row = item(dice.choice("123")) | {name: EVERY_TYPE[name] for name in names}
        for name in ("owner", "state", "shown", "hidden"):
            if dice.random() < 0.7:
                row[name] = {"S": dice.choice("ab") * dice.choice((1, 1, 2, 700))}
        row["number"] = {
            "N": str(dice.choice((1, -1)) * dice.randint(0, 10 ** dice.randint(1, 30)))
        }
        if dice.random() < 0.5:
            writer.must_agree(writer.client.put_item, TableName=writer.indexed, Item=row)
        else:
            writer.must_agree(
                writer.client.transact_write_items,
                TransactItems=[{"Put": {"TableName": writer.indexed, "Item": row}}],
            )


def test_updates_and_deletes_are_priced_as_the_engine_does(writer: Bench) -> None:
    writer.place(WHOLE)
    change = {
        "TableName": writer.indexed,
        "Key": key(),
        "UpdateExpression": "SET #s = :s REMOVE #h",
        "ExpressionAttributeNames": {"#s": "state", "#h": "hidden"},
        "ExpressionAttributeValues": {":s": {"S": "t"}},
    }
    writer.must_agree(writer.client.update_item, **change)
    delete = {"TableName": writer.indexed, "Key": key()}
    writer.must_agree(writer.client.delete_item, **delete)
    writer.must_agree(writer.client.delete_item, **delete)
    writer.must_agree(writer.client.update_item, **change)


def test_a_mixed_transaction_is_priced_by_table_and_index(writer: Bench) -> None:
    for identifier in ("1", "2", "3"):
        writer.place(WHOLE | key(identifier) | {"hidden": {"S": "h" * 1200}})
    table = writer.indexed
    writer.must_agree(
        writer.client.transact_write_items,
        TransactItems=[
            {
                "Update": {
                    "TableName": table,
                    "Key": key("1"),
                    "UpdateExpression": "SET shown = :v",
                    "ExpressionAttributeValues": {":v": {"S": "new"}},
                }
            },
            {"Delete": {"TableName": table, "Key": key("2")}},
            {
                "ConditionCheck": {
                    "TableName": table,
                    "Key": key("3"),
                    "ConditionExpression": "attribute_exists(id)",
                }
            },
            {
                "ConditionCheck": {
                    "TableName": table,
                    "Key": key("none"),
                    "ConditionExpression": "attribute_not_exists(id)",
                }
            },
            {"Put": {"TableName": table, "Item": WHOLE | key("4")}},
            {"Put": {"TableName": writer.bare, "Item": item("5", body="b" * 1100)}},
        ],
    )
    assert writer.meter.items_written == 4


def test_a_transaction_repeated_under_its_token_costs_reads(writer: Bench) -> None:
    request = {
        "TransactItems": [{"Put": {"TableName": writer.indexed, "Item": WHOLE}}],
        "ClientRequestToken": uuid.uuid4().hex,
    }
    writer.must_agree(writer.client.transact_write_items, **request)
    writer.must_agree(writer.client.transact_write_items, **request)
    assert writer.meter.write_units == 0
    assert writer.meter.read_units == 2


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("size", [100, 4096, 4097, 9000])
def test_reads_are_priced_by_size_and_consistency(
    amazon: Bench, size: int, consistent: bool
) -> None:
    for identifier in ("1", "2"):
        filler = "b" * (size - len("id1partpownerobody"))
        amazon.place(item(identifier, owner="o", body=filler))
    table, how = amazon.indexed, {"ConsistentRead": consistent}
    amazon.must_agree(
        amazon.client.get_item, TableName=table, Key=key(), ProjectionExpression="id", **how
    )
    amazon.must_agree(
        amazon.client.batch_get_item,
        RequestItems={table: {"Keys": [key("1"), key("2")], **how}},
    )
    amazon.must_agree(
        amazon.client.query,
        TableName=table,
        KeyConditionExpression="#i = :i",
        FilterExpression="#o = :missing",
        ExpressionAttributeNames={"#i": "id", "#o": "owner"},
        ExpressionAttributeValues={":i": {"S": "1"}, ":missing": {"S": "?"}},
        **how,
    )
    amazon.must_agree(amazon.client.scan, TableName=table, Select="COUNT", **how)


def test_missing_keys_of_a_batch_cost_the_smallest_read(either: Bench) -> None:
    keys = [key("none"), key("neither")]
    either.client.batch_get_item(RequestItems={either.bare: {"Keys": keys}})
    assert either.meter.read == {(either.bare, None): 1.0}


def test_a_query_of_an_index_is_charged_to_it(either: Bench) -> None:
    for number in range(3):
        either.place(item(str(number), owner="o", state="s", hidden="h" * 900))
    either.must_agree(
        either.client.query,
        TableName=either.indexed,
        IndexName="keys",
        KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": "o"}},
    )
    assert either.meter.read == {(either.indexed, "keys"): 0.5}
    assert either.meter.items_read == 3


def test_a_transactional_read_costs_twice_a_strong_one(writer: Bench) -> None:
    writer.reader.put_item(TableName=writer.bare, Item=item())
    gets = [{"Get": {"TableName": writer.bare, "Key": key(i)}} for i in ("1", "none")]
    writer.must_agree(writer.client.transact_get_items, TransactItems=gets)
    assert writer.meter.read == {(writer.bare, None): 4.0}
    assert writer.meter.items_read == 1


def test_a_refused_plain_write_is_charged_and_a_canceled_transaction_is_not(either: Bench) -> None:
    either.place(WHOLE | item(hidden="h" * 1500))
    refused = {
        "TableName": either.indexed,
        "Item": WHOLE,
        "ConditionExpression": "attribute_not_exists(id)",
    }
    with pytest.raises(either.client.exceptions.ConditionalCheckFailedException):
        either.client.put_item(**refused)
    assert either.meter.written == {(either.indexed, None): 2}
    with pytest.raises(either.client.exceptions.TransactionCanceledException):
        either.client.transact_write_items(TransactItems=[{"Put": refused}])
    assert either.meter.write_units == 2
    assert either.meter.round_trips == 2
    assert either.meter.items_written == 0


def test_a_call_that_cannot_be_priced_is_refused(either: Bench) -> None:
    writes: Any = {either.bare: [{"PutRequest": {"Item": item()}}]}
    with pytest.raises(NotMetered, match="BatchWriteItem"):
        either.client.batch_write_item(RequestItems=writes)


def test_traffic_counts_the_calls_of_a_sale_and_every_conflict(platform: Platform) -> None:
    merchant = platform.merchant()
    client = platform.engine.dynamodb()
    traffic, meter = Traffic(), Meter(platform.client)
    Faults(at_commit(1, Fault.CONFLICT)).attach(client)
    for counter in (traffic, meter):
        counter.attach(client)
    store = platform.store_on(client)
    platform.pay(merchant, deps=platform.deps(store))
    assert traffic.conflicts == 1
    assert store.usage.counts() == {
        "round_trips": traffic.round_trips,
        "items": traffic.items_written + traffic.items_read,
        "retries": 1,
    }
    assert traffic.round_trips == meter.round_trips
    assert (traffic.items_written, traffic.items_read) == (meter.items_written, meter.items_read)
    assert traffic.items_written == 2 + 4 + 1  # the intent, the outcome, the sandbox's charge
    traffic.reset()
    with suppress(client.exceptions.ResourceNotFoundException):
        client.get_item(TableName="no-such-table", Key=key())
    assert (traffic.round_trips, traffic.items_read, traffic.conflicts) == (1, 0, 0)
