"""The demo itself, and its message if the emulator dies while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.deploy import down, up
from local.emulator import ministack
from local.emulator.ports import free_port
from local.workspace import PROJECT_ROOT, Workspace
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.emulator("the demo is of the local stage")

KILLED_STATE = Path(".local-killed")
DEMO_SECONDS = 300


def _demo(state_directory: Path) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PORT"} | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "local", "--state-dir", str(state_directory), "demo"],
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _tell(deployment: Deployment) -> None:
    story = _demo(deployment.workspace.directory)
    output, _ = story.communicate(timeout=DEMO_SECONDS)
    assert story.returncode == 0, output
    assert "Every step succeeded." in output


def test_the_demo_succeeds(deployment: Deployment) -> None:
    _tell(deployment)


@pytest.mark.deep
def test_the_demo_can_be_repeated(deployment: Deployment) -> None:
    for _ in range(2):
        _tell(deployment)


@pytest.mark.deep  # a stage of its own is deployed for it
def test_killing_the_emulator_during_the_demo_gives_one_clear_message() -> None:
    workspace = Workspace.find(KILLED_STATE)
    up(workspace, free_port())
    try:
        story = _demo(KILLED_STATE)
        assert story.stdout is not None
        said = ""
        for line in story.stdout:
            said += line
            if line.startswith("3."):
                emulator = ministack.running(workspace)
                assert emulator is not None
                os.kill(emulator.process.pid, signal.SIGKILL)
                break
        rest, _ = story.communicate(timeout=DEMO_SECONDS)
        assert story.returncode == 1, said + rest
        assert "Traceback" not in rest
        assert rest.count("Error:") == 1
        assert "emulator" in rest
    finally:
        down(workspace)
