"""One seed has one history, in any process and with any hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.simulation.busy_platform import BusyPlatform

ROOT = Path(__file__).parents[4]
CALLS = 120


def in_a_process(seed, hash_seed):
    """The history's hash in a separate process."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.simulation.busy_platform", seed, str(CALLS)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return ran.stdout.strip()


@pytest.mark.slow
def test_a_seed_gives_one_history_in_every_process():
    world = BusyPlatform("a")
    here = world.run(CALLS)
    assert {here} == {in_a_process("a", "0"), in_a_process("a", "12345")}
    assert world.scheduler.environments_died
    assert len(world.scheduler.injected) > 8


def test_another_seed_gives_another_history():
    assert BusyPlatform("b").run(30) != BusyPlatform("c").run(30)
