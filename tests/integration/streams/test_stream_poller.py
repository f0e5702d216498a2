"""The simulated event source mapping has Lambda's guarantees, and no others."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from tests.support.engines.choice import EVERY, engine_named
from tests.support.engines.engine import Engine
from tests.support.engines.faults import ProcessKilled
from tests.support.engines.streams import QUIET, STORMY, SourceSettings, StreamFaults, StreamPoller

ITEMS = 5
CHANGES = 60


@dataclass
class Table:
    """One table with a stream, on one engine."""

    engine: Engine
    name: str = field(default_factory=lambda: f"stream-{uuid.uuid4().hex[:12]}")

    def create(self) -> None:
        self.client = self.engine.dynamodb()
        self.client.create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )

    def write(self, item: str, version: int) -> None:
        stored = {"id": {"S": item}, "version": {"N": str(version)}, "seal": {"B": b"\x00\xff"}}
        self.client.put_item(TableName=self.name, Item=stored)

    def change_often(self, dice: Random) -> dict[str, int]:
        """Versions 1, 2, 3 … of a few items; the last version of each."""
        versions: dict[str, int] = {}
        for _ in range(CHANGES):
            item = f"item-{dice.randrange(ITEMS)}"
            versions[item] = versions.get(item, 0) + 1
            self.write(item, versions[item])
        return versions

    def poller(self, handler: Any, **options: Any) -> StreamPoller:
        return StreamPoller(self.engine, [self.name], handler, **options)


@pytest.fixture(params=EVERY)
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    table = Table(engine_named(request.param, request))
    table.create()
    yield table
    table.client.delete_table(TableName=table.name)


def version_of(record: dict[str, Any]) -> tuple[str, int]:
    image = record["dynamodb"]["NewImage"]
    return image["id"]["S"], int(image["version"]["N"])


def sequence(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


@dataclass
class Reader:
    """A handler that records what it receives, in order."""

    seen: list[tuple[str, int]] = field(default_factory=list)
    batches: list[list[tuple[str, int]]] = field(default_factory=list)

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        assert context.get_remaining_time_in_millis() > 0
        self.batches.append([version_of(record) for record in event["Records"]])
        self.seen += self.batches[-1]
        return {"batchItemFailures": []}

    def first_sights(self, item: str) -> list[int]:
        return list(dict.fromkeys(version for seen, version in self.seen if seen == item))


def test_an_event_has_the_form_of_lambdas_events(table: Table) -> None:
    events: list[dict[str, Any]] = []
    poller = table.poller(lambda event, _: events.append(event))
    table.write("a", 1)
    table.write("a", 2)
    table.client.delete_item(TableName=table.name, Key={"id": {"S": "a"}})
    poller.drain()
    records = [record for event in events for record in event["Records"]]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    for record in records:
        assert record["eventSource"] == "aws:dynamodb"
        assert record["eventSourceARN"].split(":")[5].split("/")[:3:2] == ["table", "stream"]
        assert record["eventSourceARN"].split("/")[1] == table.name
        assert record["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
        assert record["dynamodb"]["Keys"] == {"id": {"S": "a"}}
        assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], float | int)
        assert json.loads(json.dumps(record)) == record
    inserted, modified, removed = (record["dynamodb"] for record in records)
    seal = {"B": base64.b64encode(b"\x00\xff").decode()}
    assert inserted["NewImage"] == {"id": {"S": "a"}, "version": {"N": "1"}, "seal": seal}
    assert "OldImage" not in inserted
    assert (modified["OldImage"], modified["NewImage"]["version"]) == (
        inserted["NewImage"],
        {"N": "2"},
    )
    assert removed["OldImage"] == modified["NewImage"]
    assert "NewImage" not in removed
    assert sorted(map(sequence, records)) == [sequence(record) for record in records]


def test_a_poller_without_faults_delivers_every_record_once_and_each_items_in_order(
    table: Table, dice: Random
) -> None:
    reader = Reader()
    poller = table.poller(reader, seed=str(dice.random()))
    versions = table.change_often(dice)
    poller.drain()
    assert len(reader.seen) == CHANGES == len(set(reader.seen))
    for item, last in versions.items():
        assert reader.first_sights(item) == list(range(1, last + 1))
    table.write("late", 1)
    poller.drain()
    assert reader.seen[-1] == ("late", 1)
    assert len(reader.seen) == CHANGES + 1


def test_a_poller_with_faults_loses_nothing_and_keeps_the_order_within_an_item(
    table: Table, dice: Random
) -> None:
    reader = Reader()
    poller = table.poller(reader, seed=str(dice.random()), faults=STORMY, shards=3)
    with poller.running(workers=2):
        versions = table.change_often(dice)
    poller.drain(workers=2)
    for item, last in versions.items():
        assert reader.first_sights(item) == list(range(1, last + 1))


def test_each_fault_of_the_stream_occurs(table: Table, dice: Random) -> None:
    versions = table.change_often(dice)
    for name in ("doubled", "late", "repeated", "rewound", "killed"):
        reader = Reader()
        faults = StreamFaults(**{name: 0.5})
        settings = SourceSettings(batch_size=6)
        poller = table.poller(reader, seed=str(dice.random()), faults=faults, settings=settings)
        poller.drain()
        assert set(poller.injected) == {name}
        again = len(reader.seen) > CHANGES
        assert again == (name != "late"), name
        for item, last in versions.items():
            assert reader.first_sights(item) == list(range(1, last + 1))


def test_the_same_seed_delivers_the_same_batches(table: Table, dice: Random) -> None:
    table.change_often(dice)
    seed, reported = str(dice.random()), []
    for _ in range(2):
        reader = Reader()
        table.poller(reader, seed=seed, faults=STORMY).drain()
        reported.append(reader.batches)
    assert reported[0] == reported[1]


def test_a_reported_record_and_all_after_it_are_delivered_again(table: Table, dice: Random) -> None:
    for version in range(1, 11):
        table.write("a", version)
    batches: list[list[int]] = []

    def fails_once_at_4(event: dict[str, Any], _: Any) -> dict[str, Any]:
        batches.append([version_of(record)[1] for record in event["Records"]])
        if len(batches) > 1:
            return {"batchItemFailures": []}
        numbers = {version_of(record)[1]: sequence(record) for record in event["Records"]}
        return {"batchItemFailures": [{"itemIdentifier": numbers[n]} for n in (7, 4)]}

    settings = SourceSettings(batch_size=10, full_batches=True, max_retries=0)
    poller = table.poller(fails_once_at_4, settings=settings)
    poller.drain()
    assert batches == [list(range(1, 11)), list(range(4, 11))]
    assert poller.sink == []


@pytest.mark.parametrize(
    "answer", [{"batchItemFailures": [{"itemIdentifier": name}]} for name in ("", None, "12")]
)
def test_an_unknown_identifier_fails_the_whole_batch(table: Table, answer: dict[str, Any]) -> None:
    for version in range(1, 5):
        table.write("a", version)
    answers = iter([answer])
    reader = Reader()

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        reader(event, context)
        return next(answers, {})

    poller = table.poller(handler, settings=SourceSettings(batch_size=4, full_batches=True))
    poller.drain()
    assert [len(batch) for batch in reader.batches] == [4, 4]


def test_an_error_halves_the_batch_until_only_the_bad_record_goes_to_the_sink(
    table: Table,
) -> None:
    for version in range(1, 9):
        table.write("a", version)
    reader = Reader()

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if ("a", 5) in [version_of(record) for record in event["Records"]]:
            raise ValueError("poison")
        return reader(event, context)

    settings = SourceSettings(batch_size=8, full_batches=True, max_retries=2, bisect_on_error=True)
    poller = table.poller(handler, settings=settings)
    poller.drain()
    assert [version for _, version in reader.seen] == [1, 2, 3, 4, 6, 7, 8]
    (failure,) = poller.sink
    (lost,) = json.loads(failure["payload"])["Records"]
    assert version_of(lost) == ("a", 5)
    assert failure["DDBStreamBatchInfo"]["batchSize"] == 1
    assert failure["DDBStreamBatchInfo"]["startSequenceNumber"] == sequence(lost)
    assert failure["DDBStreamBatchInfo"]["streamArn"] == lost["eventSourceARN"]


def test_a_handler_that_dies_is_called_again_with_the_same_records(table: Table) -> None:
    table.write("a", 1)
    reader, deaths = Reader(), iter([ProcessKilled("half-way"), ValueError("bug")])

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        answer = reader(event, context)
        for death in deaths:
            raise death
        return answer

    poller = table.poller(handler)
    poller.drain()
    assert reader.seen == [("a", 1)] * 3
    assert [type(error) for error in poller.errors] == [ProcessKilled, ValueError]


def test_a_handler_that_never_succeeds_fails_the_test(table: Table) -> None:
    def broken(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise ValueError("always")

    table.write("a", 1)
    with pytest.raises(AssertionError, match=r"never gets through.*always"):
        table.poller(broken, faults=QUIET).drain()
