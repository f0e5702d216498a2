"""Functions go back to the versions of an earlier time, all of them or none."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from local.errors import LocalError
from local.progress import Progress
from operations.cli import main
from operations.rollback import Target, moment_of, roll_back, show_deployments

NOON = "2026-12-01T12:00:0{}.500+0000"
EVENING = "2026-12-01T18:00:0{}.500+0000"
PUBLISHED = {
    "fn-process": {"1": NOON.format(1), "2": EVENING.format(1)},
    "fn-query": {"4": NOON.format(2), "9": EVENING.format(3)},
    "fn-export": {"7": NOON.format(3)},
}
"""The last deployment did not change `export`."""
NAMES = {"export": "fn-export", "query": "fn-query", "process": "fn-process"}
"""In the order of a deployment."""
BETWEEN = datetime(2026, 12, 1, 15, tzinfo=UTC)


class Lambda:
    """Lambda's aliases and versions, in pages of one."""

    def __init__(self, **live: str) -> None:
        self.live = {"fn-process": "2", "fn-query": "9", "fn-export": "7", **live}
        self.updates: list[dict[str, Any]] = []
        self.fails_at: str | None = None
        self.weights: dict[str, dict[str, float]] = {}

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        assert Name == "live"
        version = self.live[FunctionName]
        alias: dict[str, Any] = {
            "FunctionVersion": version,
            "RevisionId": f"{FunctionName}-{version}",
        }
        if FunctionName in self.weights:
            alias["RoutingConfig"] = {"AdditionalVersionWeights": self.weights[FunctionName]}
        return alias

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_versions_by_function"
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, FunctionName: str, PaginationConfig: Any) -> list[dict[str, Any]]:
        newest = {"Version": "$LATEST", "LastModified": EVENING.format(9)}
        published = [
            {"Version": number, "LastModified": at}
            for number, at in PUBLISHED[FunctionName].items()
        ]
        return [{"Versions": [each]} for each in (newest, *published)]

    def update_alias(self, **request: Any) -> None:
        if request["FunctionName"] == self.fails_at:
            raise ConnectionError
        current = self.live[request["FunctionName"]]
        assert request["RevisionId"] == f"{request['FunctionName']}-{current}"
        self.live[request["FunctionName"]] = request["FunctionVersion"]
        self.updates.append(request)


def _target(client: Lambda) -> Target:
    return Target(NAMES, client)  # type: ignore[arg-type]


def _quiet() -> Progress:
    return Progress(Console(quiet=True), live=False)


def test_functions_go_back_to_the_versions_of_an_earlier_time_and_forward_again() -> None:
    client = Lambda()
    changed = roll_back(_target(client), BETWEEN, _quiet())
    assert [line.partition(" (")[0] for line in changed] == [
        "process: version 2 → 1",
        "query: version 9 → 4",
    ]
    assert client.live == {"fn-process": "1", "fn-query": "4", "fn-export": "7"}
    assert roll_back(_target(client), BETWEEN, _quiet()) == [], "the same call changes nothing"
    roll_back(_target(client), datetime(2027, 1, 1, tzinfo=UTC), _quiet())
    assert client.live == {"fn-process": "2", "fn-query": "9", "fn-export": "7"}


def test_functions_go_back_in_the_reverse_order_of_a_deployment_and_forward_in_its_order() -> None:
    client = Lambda()
    roll_back(_target(client), BETWEEN, _quiet())
    assert [update["FunctionName"] for update in client.updates] == ["fn-process", "fn-query"]
    client.updates.clear()
    roll_back(_target(client), datetime(2027, 1, 1, tzinfo=UTC), _quiet())
    assert [update["FunctionName"] for update in client.updates] == ["fn-query", "fn-process"]


def test_a_rollback_sends_all_requests_to_one_version() -> None:
    client = Lambda()
    roll_back(_target(client), BETWEEN, _quiet())
    weights = [update["RoutingConfig"] for update in client.updates]
    assert weights == [{"AdditionalVersionWeights": {}}] * 2


def test_an_interrupted_rollback_is_finished_by_the_same_call() -> None:
    client = Lambda()
    client.fails_at = "fn-query"
    with pytest.raises(ConnectionError):
        roll_back(_target(client), BETWEEN, _quiet())
    client.fails_at = None
    (line,) = roll_back(_target(client), BETWEEN, _quiet())
    assert line.startswith("query: version 9 → 4")
    assert client.live == {"fn-process": "1", "fn-query": "4", "fn-export": "7"}


def test_nothing_changes_if_one_function_has_no_version_of_that_time() -> None:
    client = Lambda()
    with pytest.raises(LocalError, match=r"export had no version at 2026-12-01T12:00:03Z"):
        roll_back(_target(client), datetime(2026, 12, 1, 12, 0, 3, tzinfo=UTC), _quiet())
    assert client.updates == []


def test_a_rollback_is_refused_while_a_deployment_is_in_progress() -> None:
    client = Lambda()
    client.weights["fn-process"] = {"3": 0.1}
    with pytest.raises(
        LocalError, match=r"deployment is in progress: process \(2 → 3\)"
    ) as refused:
        roll_back(_target(client), BETWEEN, _quiet())
    assert "stop-deployment --auto-rollback-enabled" in str(refused.value.hint)
    assert client.updates == []
    client.weights["fn-process"] = {}
    assert len(roll_back(_target(client), BETWEEN, _quiet())) == 2


def test_a_dry_run_shows_what_would_change() -> None:
    client = Lambda()
    assert len(roll_back(_target(client), BETWEEN, _quiet(), dry_run=True)) == 2
    assert client.updates == []


def test_deployments_are_listed_newest_first_with_a_time_to_go_back_to() -> None:
    lines = show_deployments(_target(Lambda(**{"fn-process": "1"})))
    assert lines == [
        "2026-12-01T18:00:01Z to 2026-12-01T18:00:04Z: 2 functions, 1 of these versions live",
        "2026-12-01T12:00:01Z to 2026-12-01T12:00:04Z: 3 functions, 2 of these versions live",
    ]
    client = Lambda()
    roll_back(_target(client), moment_of("2026-12-01T12:00:04Z"), _quiet())
    assert client.live == {"fn-process": "1", "fn-query": "4", "fn-export": "7"}


@pytest.mark.parametrize("text", ["yesterday", "2026-12-01T09:30:00"])
def test_a_time_without_its_zone_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rollback", "--to", text])
    assert "give a time with its zone, such as 2026-12-01T09:30:00Z" in capsys.readouterr().err
