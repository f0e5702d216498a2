"""Injected faults are those that DynamoDB documents, and the same seed repeats them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
)

from runtime.dynamodb.errors import TRANSIENT_REASONS
from runtime.idempotency.models import IdempotencyRecord
from tests.support.engines.faults import (
    COMMIT,
    Fault,
    Faults,
    ItemLocks,
    ProcessKilled,
    at_call,
    at_commit,
    at_step,
    every_commit,
    seeded,
)
from tests.support.platform import Platform

HOLD_SECONDS = 0.2


class Clock:
    """A clock that only moves when a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def locks(platform: Platform, clock: Clock) -> ItemLocks:
    return ItemLocks(platform.key_names, hold_seconds=HOLD_SECONDS, clock=clock)


@pytest.fixture
def client(platform: Platform, locks: ItemLocks) -> Any:
    return locks.attach(platform.engine.dynamodb())


def table(platform: Platform) -> str:
    return platform.tables[IdempotencyRecord.table_schema.name]


def commit(platform: Platform, client: Any, *keys: str) -> None:
    puts = [{"Put": {"TableName": table(platform), "Item": {"key": {"S": key}}}} for key in keys]
    client.transact_write_items(TransactItems=puts)


def read(platform: Platform, key: str) -> bool:
    return "Item" in platform.client.get_item(
        TableName=table(platform), Key={"key": {"S": key}}, ConsistentRead=True
    )


def plain_writes(platform: Platform, client: Any, key: str) -> Iterator[Any]:
    name, where = table(platform), {"key": {"S": key}}
    yield lambda: client.put_item(TableName=name, Item=where)
    yield lambda: client.update_item(TableName=name, Key=where)
    yield lambda: client.delete_item(TableName=name, Key=where)


def test_a_commit_locks_its_items_for_every_client_and_for_no_other_item(
    platform: Platform, locks: ItemLocks, client: Any, clock: Clock
) -> None:
    commit(platform, client, "a", "b")
    other = locks.attach(platform.engine.dynamodb())
    with pytest.raises(ClientError) as refused:
        commit(platform, other, "c", "b")
    assert refused.value.response["Error"]["Code"] == "TransactionCanceledException"
    reasons = refused.value.response["CancellationReasons"]  # type: ignore[typeddict-item]
    assert [reason["Code"] for reason in reasons] == ["None", "TransactionConflict"]
    assert not read(platform, "c"), "a refused commit locks nothing and writes nothing"
    commit(platform, other, "c")
    clock.now += HOLD_SECONDS
    commit(platform, other, "b")
    assert (locks.commits, locks.conflicts) == (4, 1)


def test_a_plain_write_of_a_locked_item_gets_a_transaction_conflict_and_does_nothing(
    platform: Platform, locks: ItemLocks, client: Any, clock: Clock
) -> None:
    commit(platform, client, "a")
    for write in plain_writes(platform, client, "a"):
        with pytest.raises(ClientError) as refused:
            write()
        assert refused.value.response["Error"]["Code"] == "TransactionConflictException"
    assert locks.plain_conflicts == 3
    assert read(platform, "a")
    clock.now += HOLD_SECONDS
    for write in plain_writes(platform, client, "a"):
        write()
    assert not read(platform, "a")


def test_a_plain_write_blocks_only_transactions_and_only_while_it_runs(
    platform: Platform, locks: ItemLocks, client: Any
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait_inside(**_: Any) -> None:
        inside.set()
        go_on.wait(10)

    slow = locks.attach(platform.engine.dynamodb())
    slow.meta.events.register("before-send.dynamodb", wait_inside)
    item = {"key": {"S": "a"}}
    thread = threading.Thread(target=lambda: slow.put_item(TableName=table(platform), Item=item))
    thread.start()
    assert inside.wait(10)
    client.put_item(TableName=table(platform), Item=item)
    with pytest.raises(ClientError):
        commit(platform, client, "a")
    go_on.set()
    thread.join()
    commit(platform, client, "a")
    assert (locks.conflicts, locks.plain_conflicts) == (1, 0)


@pytest.mark.parametrize("faults_first", [True, False])
@pytest.mark.parametrize("fault", [each for each in Fault if each is not Fault.MIXED])
def test_no_fault_leaves_an_item_locked_in_either_order_of_attachment(
    platform: Platform, fault: Fault, faults_first: bool
) -> None:
    locks = ItemLocks(platform.key_names, hold_seconds=0.0)
    faults = Faults(at_commit(1, fault))
    client = platform.engine.dynamodb()
    for layer in (faults, locks) if faults_first else (locks, faults):
        layer.attach(client)
    lost = (ClientError, EndpointConnectionError, ConnectionClosedError, ProcessKilled)
    with pytest.raises(lost):
        commit(platform, client, "a")
    done = fault in (Fault.ANSWER_LOST, Fault.KILLED_AFTER)
    assert read(platform, "a") == done
    assert locks.commits == int(done), "a request that never arrives locks nothing"
    commit(platform, client, "a")
    client.put_item(TableName=table(platform), Item={"key": {"S": "a"}})
    assert locks.conflicts == locks.plain_conflicts == 0


def test_a_mixed_refusal_keeps_one_failed_condition_and_hides_another_or_adds_a_conflict(
    platform: Platform,
) -> None:
    def reasons(client: Any, *keys: str) -> tuple[str, ...]:
        puts = [
            {
                "Put": {
                    "TableName": table(platform),
                    "Item": {"key": {"S": key}},
                    "ConditionExpression": "attribute_not_exists(#k)",
                    "ExpressionAttributeNames": {"#k": "key"},
                }
            }
            for key in keys
        ]
        with pytest.raises(ClientError) as refused:
            client.transact_write_items(TransactItems=puts)
        listed: Any = refused.value.response["CancellationReasons"]  # type: ignore[typeddict-item]
        return tuple(each["Code"] for each in listed)

    failed = "ConditionalCheckFailed"
    client = Faults(every_commit(Fault.MIXED)).attach(platform.engine.dynamodb())
    commit(platform, client, "a", "b")
    assert read(platform, "a"), "a commit that is not refused takes effect"
    for _ in range(12):
        one_failed, two_failed = reasons(client, "a", "new"), reasons(client, "a", "b")
        assert one_failed[0] == failed
        assert one_failed[1] in TRANSIENT_REASONS
        assert sum(code == failed for code in two_failed) == 1
        assert sum(code in TRANSIENT_REASONS for code in two_failed) == 1
    both = {reasons(client, "a", "b").index(failed) for _ in range(12)}
    assert both == {0, 1}, "any of them may be hidden"
    assert reasons(client, "a") == (failed,), "a single failed condition is reported alone"


def test_a_process_can_be_killed_before_or_after_the_nth_call_of_any_operation(
    platform: Platform,
) -> None:
    def calls(plan: Any) -> int:
        client = Faults(plan).attach(platform.engine.dynamodb())
        steps = [
            lambda: commit(platform, client, "a"),
            lambda: client.get_item(TableName=table(platform), Key={"key": {"S": "a"}}),
            lambda: client.put_item(TableName=table(platform), Item={"key": {"S": "a"}}),
        ]
        for done, step in enumerate(steps * 3):
            try:
                step()
            except ProcessKilled:
                return done
        raise AssertionError("the process was not killed")

    for step in range(1, 10):
        assert calls(at_step(step, Fault.KILLED_BEFORE)) == step - 1
    assert calls(at_call("GetItem", 2, Fault.KILLED_AFTER)) == 4
    assert calls(at_call("PutItem", 3, Fault.KILLED_BEFORE)) == 8
    assert calls(at_commit(3, Fault.KILLED_AFTER)) == 6


def test_a_plain_write_is_never_canceled_and_a_read_never_conflicts() -> None:
    reported: dict[str, set[Fault]] = {}
    plan = seeded("any", rate=1.0)
    for operation in (COMMIT, "PutItem", "GetItem"):
        reported[operation] = {
            fault for _ in range(500) if (fault := plan(operation, 0)) is not None
        }
    assert {Fault.CONFLICT, Fault.IN_PROGRESS} <= reported[COMMIT]
    of_commits_alone = {Fault.IN_PROGRESS, Fault.MIXED, Fault.THROTTLED_INDEX}
    assert reported[COMMIT] - reported["PutItem"] == of_commits_alone
    assert reported[COMMIT] - reported["GetItem"] == {Fault.CONFLICT, *of_commits_alone}


def test_each_clients_faults_are_reproducible_whatever_the_order_of_threads(
    platform: Platform, dice: Random
) -> None:
    seed, reported = str(dice.random()), []
    for _ in range(2):
        clients = [
            Faults(seeded(f"{seed}-{number}", rate=0.3, kills=0.2, kill_anywhere=True))
            for number in range(4)
        ]

        def work(faults: Faults) -> None:
            client = faults.attach(platform.engine.dynamodb())
            for _ in range(12):
                with suppress(ClientError, BotoCoreError, ProcessKilled):
                    commit(platform, client, "a")
                    client.get_item(TableName=table(platform), Key={"key": {"S": "a"}})

        threads = [threading.Thread(target=work, args=(faults,)) for faults in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reported.append([faults.injected for faults in clients])
    assert reported[0] == reported[1]
    assert len({str(injected) for injected in reported[0]}) == 4
    assert {Fault.KILLED_BEFORE, Fault.KILLED_AFTER} <= {f for c in reported[0] for _, _, f in c}
