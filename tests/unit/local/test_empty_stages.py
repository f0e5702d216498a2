"""A deployed stage without data is kept, and copied for the next stage of the same sources."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local.emulator import ministack
from local.emulator.empty_stages import KEPT_STAGES, EmptyStage, with_port
from local.emulator.ministack import Emulator, died
from local.emulator.stage import Site
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import Workspace
from permissions.recording import VARIABLE as RECORD_CALLS
from tests.support.stages.any_stack import any_stack

QUEUE = "http://localhost:4600/000000000000/jobs"


def a_workspace(root: Path, name: str) -> Workspace:
    workspace = Workspace(root=root, directory=root / name)
    workspace.prepare()
    return workspace


def of(workspace: Workspace, sources: str = "sources") -> EmptyStage:
    return EmptyStage.of(workspace, sources)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "local" / "emulator").mkdir(parents=True)
    for name in ("local/emulator/cdk.py", "requirements-ministack.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.fixture
def stopped(project: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A stage on port 4600 that was stopped with its state. Calls are not recorded."""
    monkeypatch.delenv(RECORD_CALLS, raising=False)
    workspace = a_workspace(project, ".local")
    for directory in (
        workspace.emulator_state / "state" / "lambda-blobs",
        workspace.emulator_state / "s3" / "bucket",
        workspace.synthesized,
        workspace.adapted,
    ):
        directory.mkdir(parents=True)
        (directory / "file").write_bytes(b"\xff")
    _save(workspace, "dynamodb", "tables", {"payments": {"items": {}}})
    _save(workspace, "cloudwatch_logs", "log_groups", {"query": {"streams": {}}})
    _save(workspace, "sqs", "queues", {QUEUE: {"url": QUEUE}})
    workspace.outputs_file.write_text(json.dumps({"Queue": QUEUE}))
    return workspace


def _save(workspace: Workspace, service: str, kind: str, data: Any) -> None:
    file = workspace.emulator_state / "state" / f"{service}.json"
    file.write_text(json.dumps({"payload": {kind: {"data": data}}}))


def test_a_copy_has_all_files_and_its_own_port(stopped: Workspace) -> None:
    of(stopped).keep(stopped, 4600)
    other = a_workspace(stopped.root, ".local-other")
    of(other).copy_to(other, 4700)
    state = other.emulator_state / "state"
    queue = QUEUE.replace("4600", "4700")
    assert json.loads(other.outputs_file.read_text()) == {"Queue": queue}
    queues = json.loads((state / "sqs.json").read_text())["payload"]["queues"]["data"]
    assert queues == {queue: {"url": queue}}
    assert (state / "lambda-blobs" / "file").read_bytes() == b"\xff"
    assert (other.emulator_state / "s3" / "bucket" / "file").read_bytes() == b"\xff"
    assert (other.synthesized / "file").exists()
    assert (other.adapted / "file").exists()


def test_what_a_copy_does_later_is_not_in_the_next_one(stopped: Workspace) -> None:
    of(stopped).keep(stopped, 4600)
    of(stopped).copy_to(stopped, 4700)
    (stopped.emulator_state / "s3" / "bucket" / "file").write_bytes(b"paid")
    of(stopped).copy_to(stopped, 4700)
    assert (stopped.emulator_state / "s3" / "bucket" / "file").read_bytes() == b"\xff"


def test_only_addresses_of_the_emulator_change() -> None:
    before = "http://127.0.0.1:4600/ api.localhost:4600 localhost:46001 example.com:4600 4600"
    after = "http://127.0.0.1:80/ api.localhost:80 localhost:46001 example.com:4600 4600"
    assert with_port(before, 4600, 80) == after


@pytest.mark.parametrize(
    ("service", "kind", "data"),
    [
        ("dynamodb", "tables", {"payments": {"items": {"pay_1": {}}}}),
        ("cloudwatch_logs", "log_groups", {"query": {"streams": {"1": {}}}}),
    ],
)
def test_a_stage_that_did_something_is_not_kept(
    stopped: Workspace, service: str, kind: str, data: Any
) -> None:
    _save(stopped, service, kind, data)
    of(stopped).keep(stopped, 4600)
    assert not of(stopped).exists()


@pytest.mark.parametrize("changed", ["local/emulator/cdk.py", "requirements-ministack.txt"])
def test_a_change_of_what_deploys_is_another_stage(stopped: Workspace, changed: str) -> None:
    of(stopped).keep(stopped, 4600)
    assert of(stopped).exists()
    assert not of(stopped, "other sources").exists()
    (stopped.root / changed).write_text("changed")
    assert not of(stopped).exists()


def test_the_first_one_stays_until_it_is_forgotten(stopped: Workspace) -> None:
    of(stopped).keep(stopped, 4600)
    of(stopped).keep(stopped, 4700)
    of(stopped).copy_to(stopped, 4800)
    assert "localhost:4800" in stopped.outputs_file.read_text()
    of(stopped).forget()
    assert not of(stopped).exists()


def test_the_newest_are_kept(stopped: Workspace) -> None:
    for number in range(KEPT_STAGES + 2):
        stage = of(stopped, f"sources {number}")
        stage.keep(stopped, 4600)
        os.utime(stage.directory, (number, number))
    there = [of(stopped, f"sources {number}").exists() for number in range(KEPT_STAGES + 2)]
    assert there == [False, False, *[True] * KEPT_STAGES]
    assert len(list(stage.directory.parent.iterdir())) == KEPT_STAGES


class DeployingSite(Site):
    """Deploys by giving `DEPLOYED`; its emulator is not started."""

    def _lambda_asset(self) -> Path:
        return self.workspace.code

    def _first(self, empty: EmptyStage) -> Stack:
        assert not empty.exists()
        return DEPLOYED


DEPLOYED = any_stack()


def test_a_kept_stage_that_is_incomplete_is_replaced_by_a_new_one(stopped: Workspace) -> None:
    of(stopped).keep(stopped, 4600)
    (of(stopped).directory / "outputs.json").unlink()
    output = StringIO()
    assert _site(stopped, output).fresh("sources") == DEPLOYED
    assert "Deploying a new stage; the kept one cannot be used: [Errno 2]" in output.getvalue()


def test_a_kept_stage_that_does_not_start_is_replaced_by_a_new_one(
    stopped: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(workspace: Workspace, *_: Any, kept: bool) -> Emulator:
        assert kept
        raise died(workspace.emulator_log, "ended at once with code 1")

    of(stopped).keep(stopped, 4600)
    monkeypatch.setattr(ministack, "start", end)
    output = StringIO()
    assert _site(stopped, output).fresh("sources") == DEPLOYED
    assert "cannot be used: The AWS emulator ended at once with code 1" in output.getvalue()


def _site(workspace: Workspace, output: StringIO) -> Site:
    progress = Progress(Console(file=output, width=1000), live=False)
    return DeployingSite(workspace, Path("cdk"), Path("python"), 4700, progress)
