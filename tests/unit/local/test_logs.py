"""`make logs`: the last lines of one function, whatever else the log group contains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import logs
from local.cli import MOST_LOG_MINUTES, main
from local.errors import FunctionFailed, LocalError
from local.schedules import tick
from local.stackfile import Schedule, Stack

NOW = 1_800_000_000.0
STACK = Stack(
    api_url="http://127.0.0.1:1",
    aws_endpoint_url="http://127.0.0.1:1",
    region="us-east-1",
    access_key_id="test",
    secret_access_key="test",
    buckets={},
    tables={},
    functions={"process": "process-1", "resolver": "resolver-1"},
    schedules={"unfinished": Schedule(function="resolver-1", event={})},
)


class FakeLogs:
    """Log groups of two functions; pages of three events, not in order of time."""

    def __init__(self) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {"/process": [], "/resolver": []}
        self.asked: list[dict[str, Any]] = []

    def write(self, group: str, *lines: str, at: float = NOW) -> None:
        self.events[group] += [{"timestamp": round(at * 1000), "message": line} for line in lines]

    def get_function_configuration(self, FunctionName: str) -> Any:
        group = "/" + FunctionName.removesuffix("-1")
        return {"LoggingConfig": {"LogGroup": group}}

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:
        payload = SimpleNamespace(read=lambda: b'{"errorMessage": "no table"}')
        return {"FunctionError": "Unhandled", "Payload": payload}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "filter_log_events"
        return self

    def paginate(self, **asked: Any) -> Iterator[Any]:
        self.asked.append(asked)
        events = self.events[asked["logGroupName"]]
        young = [event for event in events if event["timestamp"] >= asked["startTime"]]
        for start in range(0, len(young), 3):
            yield {"events": young[start : start + 3]}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> FakeLogs:
    fake = FakeLogs()
    clients = SimpleNamespace(functions=fake, logs=fake)
    monkeypatch.setattr("local.logs.Clients", lambda _: clients)
    monkeypatch.setattr("local.schedules.Clients", lambda _: clients)
    return fake


def test_a_functions_lines_are_in_order_of_time(cloud: FakeLogs) -> None:
    cloud.write("/process", "second\n", at=NOW - 1)
    cloud.write("/process", "first", at=NOW - 2)
    cloud.write("/resolver", "another's")
    assert logs.last_events(STACK, "process", 15, NOW) == ["first", "second"]


def test_only_the_requested_minutes_are_read(cloud: FakeLogs) -> None:
    cloud.write("/process", "old", at=NOW - 301)
    cloud.write("/process", "young", at=NOW - 299)
    assert logs.last_events(STACK, "process", 5, NOW) == ["young"]
    assert logs.last_events(STACK, "process", 6, NOW) == ["old", "young"]


def test_of_many_events_the_last_ones_are_shown(cloud: FakeLogs) -> None:
    cloud.write("/process", *(str(number) for number in range(logs.MOST_EVENTS + 5)))
    shown = logs.last_events(STACK, "process", 15, NOW)
    assert len(shown) == logs.MOST_EVENTS
    assert (shown[0], shown[-1]) == ("5", str(logs.MOST_EVENTS + 4))


def test_an_unknown_function_is_refused_with_the_known_ones(cloud: FakeLogs) -> None:
    with pytest.raises(LocalError, match="Unknown function 'proces'") as refused:
        logs.last_events(STACK, "proces", 15, NOW)
    assert "process, resolver" in refused.value.hint
    assert cloud.asked == []


def test_a_failed_schedule_names_the_function_with_the_log(cloud: FakeLogs) -> None:
    with pytest.raises(FunctionFailed, match="no table") as failed:
        tick(STACK, "unfinished")
    assert 'make logs ARGS="resolver"' in failed.value.hint


def test_the_lines_are_the_whole_standard_output(
    cloud: FakeLogs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    STACK.write(tmp_path / "stack.json")
    monkeypatch.setattr("time.time", lambda: NOW)
    cloud.write("/process", "served", "refused")
    assert main(["--state-dir", str(tmp_path), "logs", "process"]) == 0
    assert capsys.readouterr().out == "served\nrefused\n"
    assert main(["--state-dir", str(tmp_path), "logs", "resolver", "--since", "5"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "resolver has written nothing in the last 5 min." in captured.err


@pytest.mark.parametrize("minutes", ["0", "-1", "x", "1.5", str(MOST_LOG_MINUTES + 1)])
def test_minutes_out_of_range_are_refused_with_the_range(
    minutes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["logs", "process", f"--since={minutes}"])
    assert "give 1 to 1440 minutes" in capsys.readouterr().err
