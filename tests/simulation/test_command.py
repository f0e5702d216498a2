"""One seed has one history, in any process and for any number of processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from simulation.clients.kinds import CLIENTS
from simulation.outcome import play
from simulation.parts import hash_over, play_parts
from simulation.platform.plan import Plan

pytestmark = pytest.mark.deep  # whole runs, in processes of their own

LAST_LINE = re.compile(
    r"history sha256:[0-9a-f]{64} seed one operations \d+ commits \d+ violations 0"
)


def command(*arguments: str, hash_seed: str) -> tuple[int, list[str]]:
    """The command as a user runs it: its status, and what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "simulation", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout.splitlines()


def test_one_seed_has_one_history_whatever_the_hash_seed() -> None:
    """Over all commits, answers and webhooks, with faults, in two processes."""
    first, second = (
        command("--seed", "one", "--operations", "150", "--no-shrink", hash_seed=hash_seed)
        for hash_seed in ("1", "2")
    )
    assert first[0] == second[0] == 0, first[1]
    assert LAST_LINE.fullmatch(first[1][-1]), first[1][-1]
    assert first[1][-1] == second[1][-1]


def test_a_run_can_be_repeated_in_the_same_process() -> None:
    plan = Plan.drawn("again", 60, kinds=CLIENTS)
    assert play(plan) == play(plan)


def test_parts_have_one_history_whatever_the_number_of_processes() -> None:
    plans = [Plan.drawn(f"part.{number}", 40, kinds=CLIENTS) for number in (1, 2)]
    alone = [outcome for _, outcome in play_parts(plans, 1)]
    together = [outcome for _, outcome in play_parts(plans, 2)]
    assert hash_over(alone) == hash_over(together)
    assert [outcome.violations for outcome in alone] == [(), ()]
