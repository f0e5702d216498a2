"""Transactions of the in-memory engine, evaluated at one time and visible at another."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulation.dynamodb.errors import EXCEPTIONS
from tests.support.engines.memory_tables import TABLE, MemoryTable, absent, check, item, put


@pytest.fixture
def memory() -> MemoryTable:
    return MemoryTable()


def codes(error: pytest.ExceptionInfo[ClientError]) -> list[str]:
    return [reason["Code"] for reason in error.value.response["CancellationReasons"]]  # type: ignore[typeddict-item]


def write(memory: MemoryTable, *actions: dict[str, Any], token: str | None = None) -> None:
    memory.client.transact_write_items(
        TransactItems=list(actions), **({"ClientRequestToken": token} if token else {})
    )


def test_an_evaluated_transaction_is_not_visible_before_it_is_finished(memory: MemoryTable) -> None:
    transaction = memory.database.begin([put("a"), put("b")], "token")
    assert transaction is not None
    assert (memory.read("a"), memory.commits, memory.records) == (None, [], [])
    memory.database.finish(transaction)
    assert memory.read("a") == item("a")
    assert [change.key for change in memory.commits[0]] == [("a",), ("b",)]
    assert [entry.key for entry in memory.records] == [("a",), ("b",)]


@pytest.mark.parametrize("other", [put("a", x="2"), check("a")])
def test_an_item_of_a_running_transaction_cannot_be_written_by_others(
    memory: MemoryTable, other: dict[str, Any]
) -> None:
    memory.put("a")
    transaction = memory.database.begin([put("a", x="1")], None)
    with pytest.raises(EXCEPTIONS.TransactionCanceledException) as canceled:
        write(memory, put("b"), other)
    assert codes(canceled) == ["None", "TransactionConflict"]
    with pytest.raises(EXCEPTIONS.TransactionConflictException):
        memory.put("a", x="2")
    with pytest.raises(EXCEPTIONS.TransactionConflictException):
        memory.delete("a")
    gets = [{"Get": {"TableName": TABLE, "Key": item(each)}} for each in ("b", "a")]
    with pytest.raises(EXCEPTIONS.TransactionCanceledException) as unread:
        memory.client.transact_get_items(TransactItems=gets)
    assert codes(unread) == ["None", "TransactionConflict"]
    left = memory.client.batch_write_item(
        RequestItems={TABLE: [{"PutRequest": {"Item": item(each)}} for each in ("a", "b")]}
    )
    assert left["UnprocessedItems"] == {TABLE: [{"PutRequest": {"Item": item("a")}}]}
    memory.database.finish(transaction)
    write(memory, put("b"), other)


def test_one_answer_combines_a_conflict_with_a_failed_condition(memory: MemoryTable) -> None:
    memory.put("b", x="1")
    memory.database.begin([put("a")], None)
    with pytest.raises(EXCEPTIONS.TransactionCanceledException) as canceled:
        write(memory, absent("a"), absent("b"), absent("c"))
    assert codes(canceled) == ["TransactionConflict", "ConditionalCheckFailed", "None"]
    reasons: Any = canceled.value.response
    assert reasons["CancellationReasons"][1]["Item"] == item("b", x="1")


def test_a_refused_transaction_locks_nothing_and_stores_no_token(memory: MemoryTable) -> None:
    memory.put("a")
    for _ in range(2):
        with pytest.raises(EXCEPTIONS.TransactionCanceledException):
            write(memory, put("b"), absent("a"), token="one")
    memory.delete("a")
    write(memory, put("b"), absent("a"), token="one")


def test_a_token_is_known_for_ten_minutes_after_completion(memory: MemoryTable) -> None:
    actions = [absent("a")]
    transaction = memory.database.begin(actions, "token")
    with pytest.raises(EXCEPTIONS.TransactionInProgressException):
        memory.database.begin(actions, "token")
    memory.now = 100.0
    memory.database.finish(transaction)
    for memory.now in (100.0, 700.0):
        assert memory.database.begin(actions, "token") is None
        with pytest.raises(EXCEPTIONS.IdempotentParameterMismatchException):
            memory.database.begin([put("b")], "token")
    memory.now = 700.1
    with pytest.raises(EXCEPTIONS.TransactionCanceledException):
        memory.database.begin(actions, "token")
    write(memory, put("c"), token="another")
    assert [len(commit) for commit in memory.commits] == [1, 1]


def test_of_names_without_any_expression_the_token_is_judged_first(memory: MemoryTable) -> None:
    """As AWS's engine does: it reads expressions first, and what none of them uses."""
    write(memory, put("a"), token="one")
    names = {"ExpressionAttributeNames": {"#u": "u"}}
    values = {"ExpressionAttributeValues": {":u": {"S": "u"}}}
    for unused in (names, values):
        bare = {"Put": {**put("b")["Put"], **unused}}
        with pytest.raises(EXCEPTIONS.IdempotentParameterMismatchException):
            memory.database.begin([bare], "one")
        with pytest.raises(ClientError, match="can only be specified when using expressions"):
            memory.database.begin([bare], "two")
        guarded = {"Put": {**bare["Put"], "ConditionExpression": "attribute_not_exists(p)"}}
        with pytest.raises(ClientError, match="unused in expressions"):
            memory.database.begin([guarded], "one")


def test_plain_reads_may_see_a_part_and_transactional_reads_are_refused_at_once(
    memory: MemoryTable,
) -> None:
    names = [f"{number}" for number in range(20)]
    transaction = memory.database.begin([put(name) for name in names], None)
    assert transaction is not None
    chance = Random(1)
    memory.database.show_part(transaction, chance)
    seen = [name for name in names if memory.read(name)]
    assert 0 < len(seen) < len(names)
    assert [entry.key for entry in memory.records] == [(name,) for name in seen]
    assert [len(commit) for commit in memory.commits] == [len(names)], "it is decided"
    memory.database.show_part(transaction, chance)
    memory.database.finish(transaction)
    assert all(map(memory.read, names))
    assert len(memory.records) == len(names)
    assert len(memory.commits) == 1, "announced once"
    memory.put("0", x="1")


def test_a_checked_item_is_not_a_change(memory: MemoryTable) -> None:
    memory.put("a")
    write(memory, check("a"), put("b"))
    assert [change.key for change in memory.commits[-1]] == [("b",)]
    reported = len(memory.commits)
    write(memory, check("a"))
    assert len(memory.commits) == reported
    assert [entry.key for entry in memory.records] == [("a",), ("b",)]
