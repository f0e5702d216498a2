"""`make trace`: the story in order, without personal data; the log searched as AWS does it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from local.errors import LocalError
from operations.trace.command import Target, print_story, read_story, require_traceable
from operations.trace.log_lines import FilteredLogs, InsightsLogs, groups_of, query_for
from operations.trace.rows import _delivery_ids
from operations.trace.story import LogLine, story_of
from runtime.audit.chain import sealed
from runtime.audit.models import AuditRow, EntityType
from runtime.core.timestamps import to_timestamp
from runtime.webhooks.models import EventType, WebhookState, WebhookStatus

REQUEST, PAYMENT = "req_JKJaXmPLvHcESHA=", "pay_01KKNS5XYJQXNZMYX1T1ES5PJ4"
START = datetime(2026, 3, 14, 9, tzinfo=UTC)


def at(seconds: float) -> str:
    return to_timestamp(START + timedelta(seconds=seconds))


def row(entity: str, action: str, seconds: float = 0, **more: Any) -> AuditRow:
    values: dict[str, Any] = {
        "entity_type": EntityType.PAYMENT,
        "user_id": "erika@example.com",
        "ip_address": "192.0.2.7",
        "request_id": REQUEST,
        **more,
    }
    return sealed(
        AuditRow(
            entity_id=entity,
            sequence="000000000001",
            action_bucket="b",
            timestamp=at(seconds),
            version=1,
            action=action,
            merchant_id="mer_a",
            prev_hash="0" * 64,
            **values,
        )
    )


def webhook(seconds: float, **more: Any) -> WebhookState:
    return WebhookState(
        id="whk_1",
        merchant_id="mer_a",
        merchant_bucket="b",
        event_key="k",
        event_type=EventType.PAYMENT_SUCCEEDED,
        sequence=2,
        url="https://shop.example/hook?secret=geheim",
        expires_at=0,
        created_at=at(seconds),
        updated_at=at(seconds),
        changed_by="system:deliver",
        request_id=REQUEST,
        cause="att_1",
        **more,
    )


def line(seconds: float, function: str, **fields: Any) -> LogLine:
    return LogLine.of(START + timedelta(seconds=seconds), function, json.dumps(fields))


ROWS = [
    row(PAYMENT, "payment_succeeded", 1, new_values={"status": "succeeded", "amount": 1000}),
    row(
        "trf_1",
        "transfer_processed",
        1,
        entity_type=EntityType.TRANSFER,
        new_values={
            "currency": "USD",
            "amount": 1000,
            "description": "for Erika",
            "legs": [{"from_account_id": "acc_a", "to_account_id": "acc_b", "amount": 1000}],
        },
    ),
]
HOOKS = [
    webhook(1, last_attempt=at(3), attempts=1, status=WebhookStatus.DELIVERED, response_code=200)
]
LINES = [
    line(1.5, "process", message="served", operation="createPayment", status=201, level="INFO"),
    line(2, "project", message="projected", request_ids=[REQUEST], records={"payments": 1}),
    line(4, "deliver", message="webhook", outcome="delivered", request_id=REQUEST, level="INFO"),
    line(5, "process", message="odd", level="ERROR", detail="erika@example.com"),
]


def test_a_story_is_told_in_order_of_time_and_cause() -> None:
    shown = [(step.where, step.what) for step in story_of(ROWS, HOOKS, LINES)]
    assert shown == [
        ("audit", f"payment_succeeded {PAYMENT} status=succeeded amount=1000"),
        ("audit", "transfer_processed trf_1 amount=10.00 USD"),
        ("posting", "acc_a → acc_b 10.00 USD"),
        ("webhook", "payment.succeeded whk_1"),
        ("process", "served operation=createPayment status=201"),
        ("project", 'projected records={"payments":1}'),
        ("webhook", "attempt 1 of whk_1: HTTP 200, delivered"),
        ("deliver", "webhook outcome=delivered"),
        ("process", "ERROR: odd"),
    ]


def test_the_request_of_a_line_is_printed_where_it_is_another_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    steps = story_of([row(PAYMENT, "payment_created")], [], [])
    print_story(REQUEST, steps, Console())
    traced_by_request = capsys.readouterr().out
    assert "payment_created" in traced_by_request
    assert "request" not in traced_by_request
    assert REQUEST not in traced_by_request
    print_story(PAYMENT, steps, Console())
    assert REQUEST in capsys.readouterr().out


def test_nothing_personal_and_no_secret_is_told() -> None:
    steps = str(story_of(ROWS, HOOKS, LINES))
    for hidden in ("erika", "Erika", "192.0.2.7", "geheim"):
        assert hidden not in steps


@given(st.permutations(ROWS), st.permutations(LINES), st.integers(1, 3))
def test_the_order_and_number_of_readings_do_not_change_a_story(
    rows: list[AuditRow], lines: list[LogLine], times: int
) -> None:
    assert story_of(rows * times, HOOKS * times, lines) == story_of(ROWS, HOOKS, LINES)


@given(st.text(max_size=80))
def test_a_line_of_any_text_can_be_read(text: str) -> None:
    read = LogLine.of(START, "process", text)
    assert isinstance(read.fields, dict)
    assert len(story_of([], [], [read])) <= 1


def test_webhooks_are_found_by_the_ids_that_events_have() -> None:
    ids = list(_delivery_ids(ROWS[0], ()))
    assert len(ids) == len(set(ids)) == 6
    assert all(each.startswith("whk_") for each in ids)


@pytest.mark.parametrize("given", ["", "mer_1", "req_", 'req_1" or 1', "pay_1\n"])
def test_what_is_not_an_id_is_refused(given: str) -> None:
    with pytest.raises(LocalError, match="cannot be traced"):
        require_traceable(given)


# -------------------------------------------------------------------- the log


class Insights:
    """Logs Insights: a query is running twice, and then complete."""

    def __init__(self, *statuses: str, results: Any = ()) -> None:
        self.statuses, self.results = list(statuses), list(results)
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def start_query(self, **asked: Any) -> Any:
        self.started.append(asked)
        return {"queryId": "q1"}

    def get_query_results(self, queryId: str) -> Any:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"status": status, "results": self.results if status == "Complete" else []}

    def stop_query(self, queryId: str) -> None:
        self.stopped.append(queryId)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def searched(client: Insights, groups: int = 1) -> list[LogLine]:
    time = Time()
    names = {f"/{number}": f"function-{number}" for number in range(groups)}
    logs = InsightsLogs(client, time.monotonic, time.sleep)
    return logs.lines(names, [REQUEST, PAYMENT], START, START + timedelta(hours=1))


def result(message: str) -> list[dict[str, str]]:
    values = {"@timestamp": "2026-03-14 09:00:01.500", "@log": "1:/0", "@message": message}
    return [{"field": name, "value": value} for name, value in values.items()]


def test_insights_is_asked_for_all_ids_in_a_window_until_it_is_complete() -> None:
    client = Insights("Scheduled", "Running", "Complete", results=[result('{"message":"served"}')])
    (found,) = searched(client)
    assert (found.function, found.fields) == ("function-0", {"message": "served"})
    assert found.at == START + timedelta(seconds=1.5)
    (asked,) = client.started
    assert asked["logGroupNames"] == ["/0"]
    assert asked["startTime"] == int(START.timestamp())
    assert asked["queryString"] == query_for([REQUEST, PAYMENT])
    assert f'@message like "{REQUEST}" or @message like "{PAYMENT}"' in asked["queryString"]


def test_more_log_groups_than_one_query_takes_are_searched_in_several() -> None:
    client = Insights("Complete")
    assert searched(client, groups=51) == []
    assert [len(asked["logGroupNames"]) for asked in client.started] == [50, 1]


def test_a_query_that_does_not_end_is_stopped_and_reported() -> None:
    client = Insights("Running")
    with pytest.raises(LocalError, match="did not end within 120 s"):
        searched(client)
    assert client.stopped == ["q1"]


def test_a_query_that_failed_or_is_cut_off_is_reported() -> None:
    with pytest.raises(LocalError, match="ended as Failed"):
        searched(Insights("Failed"))
    with pytest.raises(LocalError, match="More than 10000 log lines"):
        searched(Insights("Complete", results=[result("{}")] * 10_000))


class Emulator:
    """The local stage's Lambda and log."""

    def __init__(self, *messages: str) -> None:
        self.messages = messages
        self.asked: list[dict[str, Any]] = []

    def get_function_configuration(self, FunctionName: str) -> Any:
        return {"LoggingConfig": {"LogGroup": f"/{FunctionName}"}}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "filter_log_events"
        return self

    def paginate(self, **asked: Any) -> Iterator[Any]:
        self.asked.append(asked)
        for message in self.messages:
            moment = int(START.timestamp() * 1000)
            yield {"events": [{"timestamp": moment, "message": message}]}


class NoRows:
    def audit_rows(self, identifier: str) -> list[AuditRow]:
        return []

    def webhooks(self, rows: Any) -> list[WebhookState]:
        return []


def target(*messages: str) -> tuple[Emulator, Target]:
    emulator = Emulator(*messages)
    stored: Any = NoRows()
    return emulator, Target(stored, {"query": "query-1"}, emulator, FilteredLogs(emulator))


def test_a_request_without_rows_is_found_in_the_log_of_the_last_day() -> None:
    named = json.dumps({"message": "refused", "code": "not_found", "request_id": REQUEST})
    emulator, local = target('{"message":"other"}', named)
    assert groups_of({"query": "query-1"}, emulator) == {"/query-1": "query"}
    (step,) = read_story(REQUEST, local, START, None)
    assert (step.where, step.what) == ("query", "refused code=not_found")
    (asked,) = emulator.asked
    day = timedelta(days=1) / timedelta(milliseconds=1)
    assert asked["endTime"] - asked["startTime"] == day


def test_of_an_id_that_nothing_names_there_is_no_story() -> None:
    with pytest.raises(LocalError, match=f"Nothing is known of {REQUEST}: no row, and no log line"):
        read_story(REQUEST, target("{}")[1], START, 2)
