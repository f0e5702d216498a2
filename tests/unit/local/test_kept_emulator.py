"""`make down` deletes the stage's data and reports it; `make down KEEP=1` keeps it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore
import botocore.session
import pytest

from local.cli import main
from local.deploy import Stopped, down
from local.emulator import ministack
from local.emulator.kept_emulator import (
    MARKER,
    STREAMS,
    count_no_depths,
    keep_streams,
    know_services,
    save_if_marked,
)
from local.emulator.processes import identify
from local.errors import StateNotKept
from local.workspace import Workspace

FAKE_EMULATOR = """
import pathlib, signal, sys, time
state = pathlib.Path(sys.argv[1])
def stop(*_):
    if (state / "keep").exists() and sys.argv[2] == "saves":
        (state / "dynamodb.json").write_text("{}")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
(state / "ready").touch()
time.sleep(60)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "ministack" / "state").mkdir(parents=True)
    return Workspace(root=tmp_path, directory=tmp_path)


@pytest.fixture
def emulator(workspace: Workspace, request: pytest.FixtureRequest) -> Iterator[None]:
    """A process that is stopped like the emulator. Parameter: whether it then saves its state."""
    state = workspace.emulator_state / "state"
    child = subprocess.Popen(
        [sys.executable, "-c", FAKE_EMULATOR, str(state), getattr(request, "param", "saves")],
        start_new_session=True,
    )
    while not (state / "ready").exists():
        time.sleep(0.01)
    found = identify(child.pid)
    assert found is not None
    note = {"pid": found.pid, "started": found.started, "port": 4710}
    workspace.process_file.write_text(json.dumps(note))
    ministack._started.append(child)
    yield
    child.kill()
    child.wait()


def test_stopping_deletes_the_data_and_reports_it(workspace: Workspace, emulator: None) -> None:
    assert down(workspace) is Stopped.DELETED
    assert "deleted" in Stopped.DELETED
    assert "KEEP=1" in Stopped.DELETED
    assert not workspace.emulator_state.exists()
    assert down(workspace) is Stopped.NOTHING


def test_kept_data_stays_until_it_is_deleted(
    workspace: Workspace, emulator: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--state-dir", str(workspace.directory), "down"]
    assert main([*command, "--keep"]) == 0
    assert "Its data is kept: the next `make up` uses it." in capsys.readouterr().err
    assert (workspace.emulator_state / "state" / "dynamodb.json").exists()
    assert not workspace.process_file.exists()
    assert main([*command, "--keep"]) == 0
    assert "Data was kept" in capsys.readouterr().err
    assert main(command) == 0
    assert "The kept data was deleted." in capsys.readouterr().err
    assert not workspace.emulator_state.exists()


def test_kept_data_cannot_be_used_on_another_port(
    workspace: Workspace, emulator: None, capsys: pytest.CaptureFixture[str]
) -> None:
    down(workspace, keep=True)
    assert main(["--state-dir", str(workspace.directory), "up", "--port", "4711"]) == 1
    said = capsys.readouterr().err
    assert "on port 4710, not 4711" in said
    assert "make up PORT=4710" in said
    assert workspace.kept_file.exists()


@pytest.mark.parametrize("emulator", ["dies"], indirect=True)
def test_data_that_could_not_be_kept_is_not_reported_as_kept(
    workspace: Workspace, emulator: None
) -> None:
    (workspace.emulator_state / "state" / "dynamodb.json").write_text("of an earlier time")
    with pytest.raises(StateNotKept):
        down(workspace, keep=True)
    assert not workspace.kept_file.exists()
    assert ministack.running(workspace) is None


def test_the_streams_are_saved_with_the_tables_and_loaded_again() -> None:
    def module(*values: Any) -> Any:
        loaded: list[Any] = []
        return SimpleNamespace(
            **dict(zip(STREAMS, values, strict=True)),
            loaded=loaded,
            get_state=lambda: {"tables": ["payments"]},
            load_persisted_state=loaded.append,
        )

    before, after = module({"payments": ["record"]}, {"payments": 3}, 17), module({}, {}, 0)
    keep_streams(before)
    keep_streams(after)
    state = before.get_state()
    before._stream_records["payments"].append("written after it was saved")
    after.load_persisted_state(state)
    assert after.loaded == [state]
    assert after._stream_records == {"payments": ["record"]}
    assert (after._stream_trimmed, after._stream_seq_counter) == ({"payments": 3}, 17)


def test_nothing_is_saved_without_the_marker_and_functions_before_tables(tmp_path: Path) -> None:
    saved: list[list[str]] = []
    app = SimpleNamespace(save_all=lambda services: saved.append(list(services)))
    save_if_marked(app, tmp_path)
    services = {"acm": 1, "dynamodb": 2, "lambda": 3}
    app.save_all(services)
    assert saved == []
    (tmp_path / MARKER).touch()
    app.save_all(services)
    assert saved == [["lambda", "acm", "dynamodb"]]


def test_the_router_knows_the_names_of_all_services_of_botocore() -> None:
    router = SimpleNamespace(_KNOWN_AWS_SERVICE_NAMES=None)
    know_services(router, Path(botocore.__file__).with_name("data"))
    names = router._KNOWN_AWS_SERVICE_NAMES
    session = botocore.session.get_session()
    assert names > set(session.get_available_services())
    for service in ("cloudwatch", "service-quotas", "ses", "stepfunctions"):
        model = session.get_service_model(service)
        assert {model.endpoint_prefix, model.signing_name} <= names
    assert not names & {"", "payments", "unknown"}


def test_workers_do_not_import_botocore_to_count_depths() -> None:
    script = "def run():\n    a()\n    _ms_install_invoke_depth()\n    b()\n"
    workers = SimpleNamespace(_PYTHON_WORKER_SCRIPT=script)
    count_no_depths(workers)
    assert workers._PYTHON_WORKER_SCRIPT == "def run():\n    a()\n    b()\n"
    with pytest.raises(RuntimeError, match="count_no_depths"):
        count_no_depths(workers)
