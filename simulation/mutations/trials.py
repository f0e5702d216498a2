"""Trying a fault: the simulation from several seeds, and the tests of the mutated files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulation.mutations.related_tests import by_slowness, related_tests

SEED: Final = "mutation"
"""Seeds are this and a number, so that every fault meets the same histories."""
SIMULATION_SECONDS: Final = 600.0
TESTS_SECONDS: Final = 900.0
_LAST_LINE: Final = re.compile(r"history sha256:[0-9a-f]{64} .*?operations (\d+).*violations (\d+)")
_VIOLATION: Final = re.compile(r"^VIOLATION in seed .*\n\s*(.*)", re.MULTILINE)
_CRASH: Final = re.compile(r"^crash: (.*)", re.MULTILINE)
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_TESTS_FAILED: Final = 1
"""pytest's exit status for tests that failed; others say that it could not run them."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What found a fault, or how much was tried in vain.

    `by`: a seed, or a test; None: nothing did. `operations` of the simulation until then, over all
    seeds; 0 for tests. `detail`: the first words of what was found. `seeds` that were run.
    """

    by: str | None
    operations: int
    seconds: float
    detail: str = ""
    seeds: int = 0


NOTHING: Final = TrialResult(None, 0, 0.0)


@dataclass(frozen=True, slots=True)
class Effort:
    """At most `operations` in all, `per_seed` from each; `kinds` of clients, separated by commas.

    Fewer kinds meet more often on what a fault is about.
    """

    operations: int
    per_seed: int
    kinds: str = "all"


def simulate(root: Path, effort: Effort, before: TrialResult = NOTHING) -> TrialResult:
    """Run the simulation of the tree `root` from one seed after the other, until one finds a fault.

    What was run `before` counts, and is not run again. A run that does not end counts as found:
    without a fault they all do.
    """
    alone = "" if effort.kinds == "all" else f", {effort.kinds.replace(',', ', ')} alone"
    done, number = before.operations, before.seeds
    began = time.monotonic() - before.seconds
    while done < effort.operations:
        number += 1
        seed, wanted = f"{SEED}-{number}", min(effort.per_seed, effort.operations - done)
        command = ("-m", "simulation", "--no-shrink", "--kinds", effort.kinds)
        numbers = ("--seed", seed, "--operations", str(wanted))
        status, output = _run(root, (*command, *numbers), SIMULATION_SECONDS)
        reported = _LAST_LINE.search(output)
        done += int(reported[1]) if reported else wanted
        seconds = time.monotonic() - began
        if status is None:
            return TrialResult(
                seed + alone, done, seconds, f"no end in {SIMULATION_SECONDS:.0f} s", number
            )
        if reported is None:
            raise RuntimeError(f"the simulation printed no history:\n{output[-2000:]}")
        if status != 0:
            return TrialResult(seed + alone, done, seconds, _violation_in(output), number)
    return TrialResult(None, done, time.monotonic() - began, seeds=number)


def run_tests(root: Path, paths: Sequence[str]) -> TrialResult:
    """Run the tests of the files `paths` in the tree `root`, until the first one fails."""
    began = time.monotonic()
    for tests in by_slowness(related_tests(paths)):
        found = _first_failure(root, tests)
        if found is not None:
            return TrialResult(found[0], 0, time.monotonic() - began, found[1])
    return TrialResult(None, 0, time.monotonic() - began)


def _first_failure(root: Path, tests: Sequence[str]) -> tuple[str, str] | None:
    """The first test that fails, and what it says; None: all pass.

    Raises RuntimeError where pytest cannot run them.
    """
    arguments = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests)
    status, output = _run(root, arguments, TESTS_SECONDS)
    if status == 0:
        return None
    if status is None:
        return "no end", f"{len(tests)} files of tests did not end in {TESTS_SECONDS:.0f} s"
    failed = _FAILED.search(output)
    if status != _TESTS_FAILED or failed is None:
        raise RuntimeError(f"pytest ended with {status}:\n{output[-3000:]}")
    return failed[1].removeprefix("tests/"), _first_words(output)


def _run(root: Path, arguments: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Exit status (None: it did not end in time) and output of Python in the tree `root`."""
    # `make` exports what is given on its command line, and some tests read OPERATIONS as well.
    environment = {name: text for name, text in os.environ.items() if name != "OPERATIONS"}
    environment |= {"PYTHONPATH": str(root), "CI": "1"}
    process = subprocess.Popen(
        (sys.executable, *arguments),
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # With all that it has started: engines of tests, processes of the simulation.
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    return process.returncode, output


def _violation_in(output: str) -> str:
    """What the simulation says of the rule that was violated, shortened."""
    found, crash = _VIOLATION.search(output), _CRASH.search(output)
    words = found[1] if found else f"crash: {crash[1]}" if crash else _first_words(output)
    return words[:160]


def _first_words(output: str) -> str:
    """The line that says most of what went wrong, shortened."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("E  ", "t=", "Violation", "violation"))]
    return (telling or lines or [""])[0].removeprefix("E").strip()[:160]
