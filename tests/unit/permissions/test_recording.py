"""Calls are noted whatever client makes them, for the function that makes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from permissions.actions import Names
from permissions.recorded import seen_in
from permissions.recording import (
    VARIABLE,
    Caller,
    Running,
    record_client,
    recorded,
    recorded_clients,
)
from runtime.functions.composition import aws_clients
from runtime.settings.table_uses import allow

ENVIRONMENT = {"TABLES": '{"keys": "keys-1"}', "EXPORT_BUCKET": "bucket-1"}
CALLER = Caller("query", Names(ENVIRONMENT))


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "calls"))
    return tmp_path / "calls"


def noted(directory: Path) -> set[tuple[str, str, str]]:
    uses = {"query": {"keys": allow("GetItem")}, "process": {}}
    return {(call.function, call.action, call.resource) for call in seen_in(directory, uses)}


class PlainClient:
    """As the lean and the simulated clients: methods without events."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def get_item(self, **request: Any) -> dict[str, Any]:
        return {"Item": request["Key"]}

    def get_object(self, **request: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")

    def generate_presigned_url(self, operation: str, *, Params: Any, ExpiresIn: int) -> str:
        return f"https://{Params['Bucket']}/{operation}?{ExpiresIn}"

    def close(self) -> None:
        return None


@dataclass(frozen=True)
class Surroundings:
    aws: Any


def test_calls_of_clients_without_events_are_noted(calls: Path) -> None:
    client = record_client(PlainClient(), "dynamodb", lambda: CALLER)
    key = {"id": {"S": "x"}}
    assert client.get_item(TableName="keys-1", Key=key) == {"Item": key}
    client.close()
    assert noted(calls) == {("query", "dynamodb:GetItem", "TABLES.keys")}


def test_an_absent_object_needs_the_right_to_list(calls: Path) -> None:
    client = record_client(PlainClient(), "s3", lambda: CALLER)
    with pytest.raises(ClientError):
        client.get_object(Bucket="bucket-1", Key="exports/1")
    assert noted(calls) == {
        ("query", "s3:GetObject", "EXPORT_BUCKET/exports/…"),
        ("query", "s3:ListBucket", "EXPORT_BUCKET"),
    }


def test_a_signed_link_is_what_it_allows(calls: Path) -> None:
    client = record_client(PlainClient(), "s3", lambda: CALLER)
    parameters = {"Bucket": "bucket-1", "Key": "reports/1"}
    url = client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=60)
    assert url == "https://bucket-1/put_object?60"
    assert noted(calls) == {("query", "s3:PutObject", "EXPORT_BUCKET/reports/…")}


def test_calls_of_botocores_clients_are_noted(calls: Path) -> None:
    make: Any = boto3.client
    client = record_client(make("s3"), "s3", lambda: CALLER)
    with Stubber(client) as answers:
        place = {"Bucket": "bucket-1", "Key": "exports/1"}
        answers.add_response("put_object", {}, {**place, "Body": b""})
        answers.add_client_error("head_object", "404", http_status_code=404)
        client.put_object(**place, Body=b"")
        with pytest.raises(ClientError):
            client.head_object(**place)
    client.generate_presigned_url("get_object", Params={"Bucket": "bucket-1", "Key": "reports/1"})
    assert noted(calls) >= {
        ("query", "s3:PutObject", "EXPORT_BUCKET/exports/…"),
        ("query", "s3:GetObject", "EXPORT_BUCKET/exports/…"),
        ("query", "s3:GetObject", "EXPORT_BUCKET/reports/…"),
    }


def test_clients_that_are_built_when_first_used_are_noted(calls: Path) -> None:
    built: list[str] = []

    def made() -> Any:
        built.append("s3")
        return PlainClient()

    client = record_client(aws_clients._OnFirstUse(made), "dynamodb", lambda: CALLER)
    assert not built
    client.get_item(TableName="keys-1", Key={})
    assert noted(calls) == {("query", "dynamodb:GetItem", "TABLES.keys")}


def test_every_client_of_a_functions_surroundings_is_noted(calls: Path) -> None:
    def dynamodb(*, lean: bool) -> PlainClient:
        assert lean
        return PlainClient()

    aws = SimpleNamespace(dynamodb=dynamodb)
    outside = recorded(Surroundings(aws), "process", ENVIRONMENT)
    outside.aws.dynamodb(lean=True).get_item(TableName="keys-1", Key={})
    assert noted(calls) == {("process", "dynamodb:GetItem", "TABLES.keys")}


def test_calls_of_tests_themselves_are_not_noted(calls: Path) -> None:
    running = Running()
    client = record_client(PlainClient(), "dynamodb", running)
    other = replace(CALLER, function="process")
    client.get_item(TableName="keys-1", Key={})
    with running.of(CALLER), running.of(other):
        client.get_item(TableName="keys-1", Key={})  # which of them calls is unknown
    assert not calls.exists() or not noted(calls)
    with running.of(CALLER):
        client.get_item(TableName="keys-1", Key={})
    assert noted(calls) == {("query", "dynamodb:GetItem", "TABLES.keys")}


def test_each_kind_of_call_is_written_once(calls: Path) -> None:
    client = record_client(PlainClient(), "dynamodb", lambda: CALLER)
    for number in range(3):
        client.get_item(TableName="keys-1", Key={"id": {"S": f"free text {number}"}})
    (file,) = calls.iterdir()
    (line,) = file.read_text("utf-8").splitlines()
    assert "free text" not in line
    assert json.loads(line)["context"] == {"key:id": ["…"]}


def test_nothing_is_touched_unless_calls_are_to_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    client = PlainClient()
    assert vars(record_client(client, "dynamodb", lambda: CALLER)) == {}
    outside = Surroundings(SimpleNamespace())
    assert recorded(outside, "query", ENVIRONMENT) is outside
    assert recorded_clients(aws_clients, lambda: CALLER) == {}
