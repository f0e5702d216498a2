"""stack.json is a contract: tests and external tools read it."""

import json
from pathlib import Path

import pytest

from local.emulator.stage import stack_from_outputs
from local.errors import DeployFailed, NotRunning
from local.stackfile import Stack, require_stack
from local.workspace import Workspace

ENDPOINT = "http://127.0.0.1:4566"


def outputs() -> dict[str, dict[str, str]]:
    return {
        "payments-local-data": {
            "Tables": '{"payments": "payments-1"}',
            "Buckets": '{"settlement": "settlement-1", "export": "export-1", "audit": "audit-1"}',
            "ExportsOutputRefKey": "other",
        },
        "payments-local-api": {"ApiId": "abc123", "Functions": '{"process": "process-1"}'},
        "payments-local-workers": {
            "Functions": '{"reconcile": "reconcile-1"}',
            "Schedules": '{"resolver": {"function": "reconcile-1", "event": {"do": "resolve"}}}',
        },
        "payments-local-webhooks": {
            "Functions": '{"deliver": "deliver-1"}',
            "Schedules": '{"retries": {"function": "retries-1", "event": {"do": "retry"}}}',
        },
        "payments-local-exports": {"Functions": '{"export": "export-1"}', "Schedules": "{}"},
        "payments-local-ledger": {
            "Functions": '{"holds": "holds-1"}',
            "Schedules": '{"holds": {"function": "holds-1", "event": {"do": "expire"}}}',
        },
        "payments-local-audit": {
            "Functions": '{"archive": "archive-1"}',
            "Schedules": '{"archive": {"function": "archive-1", "event": {"do": "close"}}}',
        },
    }


def test_a_stack_survives_its_file_unchanged(tmp_path: Path) -> None:
    stack = stack_from_outputs(outputs(), ENDPOINT)
    stack.write(tmp_path / "stack.json")
    assert Stack.read(tmp_path / "stack.json") == stack


def test_the_file_has_the_documented_names(tmp_path: Path) -> None:
    stack_from_outputs(outputs(), ENDPOINT).write(tmp_path / "stack.json")
    content = json.loads((tmp_path / "stack.json").read_text())
    assert content == {
        "api_url": "http://127.0.0.1:4566/_aws/execute-api/abc123/$default",
        "aws_endpoint_url": ENDPOINT,
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "buckets": {"settlement": "settlement-1", "export": "export-1", "audit": "audit-1"},
        "tables": {"payments": "payments-1"},
        "functions": {
            "process": "process-1",
            "reconcile": "reconcile-1",
            "holds": "holds-1",
            "archive": "archive-1",
            "deliver": "deliver-1",
            "export": "export-1",
        },
        "schedules": {
            "resolver": {"function": "reconcile-1", "event": {"do": "resolve"}},
            "holds": {"function": "holds-1", "event": {"do": "expire"}},
            "archive": {"function": "archive-1", "event": {"do": "close"}},
            "retries": {"function": "retries-1", "event": {"do": "retry"}},
        },
    }


@pytest.mark.parametrize(
    ("stack", "output"),
    [
        ("payments-local-data", "Tables"),
        ("payments-local-api", "ApiId"),
        ("payments-local-workers", "Schedules"),
        ("payments-local-ledger", "Schedules"),
    ],
)
def test_a_missing_output_is_named(stack: str, output: str) -> None:
    given = outputs()
    del given[stack][output]
    with pytest.raises(DeployFailed, match=output):
        stack_from_outputs(given, ENDPOINT)


@pytest.mark.parametrize("content", ["", "{}", '{"api_url": 1}', "no json"])
def test_a_file_of_another_version_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    assert Stack.read(tmp_path / "stack.json") is None


def test_a_command_that_needs_the_stack_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(NotRunning) as caught:
        require_stack(Workspace(root=tmp_path, directory=tmp_path))
    assert "make up" in caught.value.hint
