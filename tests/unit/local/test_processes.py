"""Only a process that is provably ours is ever stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulator import ministack
from local.emulator.processes import ProcessIdentity, identify, start_of
from local.workspace import Workspace


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    yield child
    child.kill()
    child.wait()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, directory=tmp_path)


def note(workspace: Workspace, pid: int, started: str) -> None:
    content = {"pid": pid, "started": started, "port": 4566}
    workspace.process_file.write_text(json.dumps(content))


def test_a_running_process_is_identified_by_pid_and_start_time(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    assert found.is_alive()


def test_an_ended_process_is_not_found_even_before_its_parent_waits_for_it(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    sleeper.kill()
    ended = os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None, "a zombie now: its exit status has not been collected"
    assert not found.is_alive()
    assert identify(sleeper.pid) is None


def test_another_process_with_a_reused_pid_is_not_ours() -> None:
    assert not ProcessIdentity(os.getpid(), started="some other moment").is_alive()


def test_a_missing_process_has_no_start_time() -> None:
    assert start_of(2**22 + 1) is None


def test_stopping_ends_our_process_and_removes_its_record(
    workspace: Workspace, sleeper: "subprocess.Popen[bytes]"
) -> None:
    note(workspace, sleeper.pid, str(start_of(sleeper.pid)))
    assert ministack.stop(workspace) is not None
    assert start_of(sleeper.pid) is None
    assert not workspace.process_file.exists()


def test_stopping_waits_for_the_exit_status_of_a_process_that_dies_thread_by_thread(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = (
        "import ctypes, os, threading, time; "
        "threading.Thread(target=lambda: (time.sleep(0.5), os._exit(3))).start(); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    child = subprocess.Popen([sys.executable, "-c", dying], start_new_session=True)
    while start_of(child.pid) is not None:
        time.sleep(0.01)
    monkeypatch.setattr(ministack, "_started", [child])
    ministack.stop(workspace)
    assert child.returncode == 3


def test_stopping_kills_a_process_that_ignores_the_request(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ministack, "STOP_TIMEOUT_SECONDS", 0.3)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    note(workspace, child.pid, str(start_of(child.pid)))
    ministack.stop(workspace)
    assert start_of(child.pid) is None
    child.stdout.close()
    child.wait()


def test_stopping_does_not_touch_another_process_with_our_old_pid(
    workspace: Workspace, sleeper: "subprocess.Popen[bytes]"
) -> None:
    note(workspace, sleeper.pid, "an emulator of yesterday")
    assert ministack.stop(workspace) is None
    assert sleeper.poll() is None
    os.kill(sleeper.pid, signal.SIGTERM)


@pytest.mark.parametrize("torn", ["", "{", '{"pid": 1}', '{"pid": "x", "started": "", "port": 1}'])
def test_a_truncated_record_identifies_no_process(workspace: Workspace, torn: str) -> None:
    workspace.process_file.write_text(torn)
    assert ministack.running(workspace) is None


def test_the_emulator_gets_nothing_of_the_developers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    seen = ministack.clean_environment(tmp_path, tmp_path / "bin/python", 4600)
    assert "AWS_PROFILE" not in seen
    assert seen["BIND_HOST"] == "127.0.0.1"
    assert seen["GATEWAY_PORT"] == "4600"
    assert {seen["STATE_DIR"], seen["S3_DATA_DIR"], seen["TMPDIR"]} == {
        str(tmp_path / name) for name in ("state", "s3", "tmp")
    }
