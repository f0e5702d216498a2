"""The in-memory engine's client behaves like botocore's, as far as callers can observe."""

from __future__ import annotations

import base64
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulation.dynamodb import InMemoryClient
from simulation.dynamodb.client import OPERATIONS
from tests.support.engines.memory_tables import TABLE, MemoryTable, item


@pytest.fixture
def memory() -> MemoryTable:
    return MemoryTable()


def test_events_have_botocores_order_and_share_a_context(memory: MemoryTable) -> None:
    seen: list[str] = []
    contexts: list[Any] = []

    def note(event_name: str, context: Any = None, **_: Any) -> None:
        seen.append(event_name)
        if context is not None:
            contexts.append(context)

    for name in ("provide-client-params", "before-parameter-build", "before-call", "after-call"):
        memory.client.meta.events.register(f"{name}.dynamodb", note)
    memory.client.meta.events.register("before-send.dynamodb.GetItem", note)
    memory.read("a")
    assert [name.partition(".")[0] for name in seen] == [
        "provide-client-params",
        "before-parameter-build",
        "before-call",
        "before-send",
        "after-call",
    ]
    assert {name.partition(".")[2] for name in seen} == {"dynamodb.GetItem"}
    assert len({id(context) for context in contexts}) == 1


def test_a_handler_may_change_parameters_and_see_the_request(memory: MemoryTable) -> None:
    memory.put("b")
    bodies: list[Any] = []

    def other(params: Any, **_: Any) -> Any:
        return {**params, "Key": item("b")}

    def look(params: Any, model: Any, **_: Any) -> None:
        bodies.append((model.name, json.loads(params["body"])))

    memory.client.meta.events.register("provide-client-params.dynamodb.GetItem", other)
    memory.client.meta.events.register("before-call.dynamodb", look)
    assert memory.read("a") == item("b")
    memory.client.put_item(TableName=TABLE, Item=item("c") | {"x": {"B": b"\xff"}})
    assert bodies[0] == ("GetItem", {"TableName": TABLE, "Key": item("b")})
    assert bodies[1][1]["Item"]["x"] == {"B": base64.b64encode(b"\xff").decode()}


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_handler_may_answer_for_the_engine(memory: MemoryTable, status: int) -> None:
    parsed = {"Error": {"Code": "TransactionConflictException"}} if status >= 400 else {}
    after: list[Any] = []
    events = memory.client.meta.events
    events.register(
        "before-call.dynamodb", lambda **_: (SimpleNamespace(status_code=status), parsed)
    )
    events.register("after-call.dynamodb", lambda **about: after.append(about["parsed"]))
    if status == 200:
        assert memory.client.get_item(TableName=TABLE, Key=item("a")) == {}
    else:
        with pytest.raises(memory.client.exceptions.TransactionConflictException):
            memory.put("a")
    assert after == [parsed]
    assert memory.commits == []


def test_a_handler_sees_a_refusal_and_may_change_it(memory: MemoryTable) -> None:
    def change(parsed: Any, http_response: Any, **_: Any) -> None:
        assert http_response.status_code == 400
        parsed["Error"]["Code"] = "Other"

    memory.client.meta.events.register("after-call.dynamodb", change)
    with pytest.raises(ClientError, match=r"\(Other\) when calling the GetItem operation"):
        memory.client.get_item(TableName="no-such-table", Key=item("a"))


def test_an_unregistered_handler_is_not_called(memory: MemoryTable) -> None:
    def fail(**_: Any) -> None:
        raise AssertionError("not any more")

    memory.client.meta.events.register("before-call.dynamodb", fail)
    memory.client.meta.events.unregister("before-call.dynamodb", fail)
    memory.put("a")


def test_an_error_has_its_operation_and_class(memory: MemoryTable) -> None:
    exceptions = memory.client.exceptions
    with pytest.raises(exceptions.ResourceNotFoundException) as missing:
        memory.client.describe_table(TableName="no-such-table")
    assert missing.value.operation_name == "DescribeTable"
    assert "when calling the DescribeTable operation" in str(missing.value)
    assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(ClientError, match="ValidationException") as invalid:
        memory.client.put_item(TableName=TABLE, Item={})
    assert type(invalid.value) is ClientError


def test_a_lock_serializes_calls_but_not_handlers() -> None:
    memory, lock = MemoryTable(), threading.Lock()
    client: Any = InMemoryClient(memory.database, lock)
    held: list[bool] = []
    memory.database.on_commit.append(lambda _: held.append(lock.locked()))
    client.meta.events.register("before-send.dynamodb", lambda **_: held.append(lock.locked()))
    client.put_item(TableName=TABLE, Item=item("a"))
    assert held == [False, True]
    with pytest.raises(ClientError):
        client.get_item(TableName="no-such-table", Key=item("a"))
    assert not lock.locked()


def test_every_operation_has_its_name() -> None:
    client = InMemoryClient(MemoryTable().database)
    for method, operation in OPERATIONS.items():
        assert callable(getattr(client, method))
        assert method.replace("_", "") == operation.lower()
