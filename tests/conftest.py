"""Shared by all tests: no access to a real AWS account, one seed, explicit warnings about skips."""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings

from runtime.core.observability import logger
from tests.support import compiled_once, slowest
from tests.support.engines import dynamodb_local
from tests.support.engines.engine import ENVIRONMENT

_SEED_VARIABLE = "TEST_SEED"
_LONGEST_RUN_SECONDS = 35 * 60
"""Of one suite, in continuous integration: several times what a suite takes there, and less than
the 45 minutes after which the workflow of a pull request ends it in silence."""

_COLLECT_RARELY = (100_000, 20, 100)
"""Thresholds of the garbage collector: at Python's own it takes a ninth of the CPU time of the unit
tests of payments, the ledger and the API (65 to 67 s instead of 55 to 58 s)."""

# A slow machine is not a defect of the code: no test may fail because of measured time. Continuous
# integration draws the same examples each time; a developer's runs go on exploring.
settings.register_profile("exploring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "exploring")


def pytest_configure(config: pytest.Config) -> None:
    """No test may reach a developer's AWS account, whatever the machine is set up for."""
    gc.set_threshold(*_COLLECT_RARELY)
    if os.environ.get("CI"):
        config.stash[_LONGEST_RUN] = _LongestRun.begin()
    if os.environ.get("E2E_STAGE"):
        return  # end-to-end tests of a deployed stage read its outputs with the shell's credentials
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)


@dataclass(frozen=True)
class _LongestRun:
    """Ends a run that hangs, after it has shown where each thread is.

    pytest-timeout looks at tests only, not at what is before, between and after them.
    """

    ends_at: float
    stderr: int

    @classmethod
    def begin(cls) -> _LongestRun:
        """pytest shows stderr only now, before it captures what tests write."""
        run = cls(time.monotonic() + _LONGEST_RUN_SECONDS, os.dup(sys.stderr.fileno()))
        run.watch()
        return run

    def watch(self) -> None:
        left = max(self.ends_at - time.monotonic(), 1.0)
        faulthandler.dump_traceback_later(left, exit=True, file=self.stderr)


_LONGEST_RUN: pytest.StashKey[_LongestRun] = pytest.StashKey()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """pytest cancels the timer of `faulthandler` when a test fails."""
    run = node.config.stash.get(_LONGEST_RUN, None)
    if run is not None:
        run.watch()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Workers that start at once would each compile every module of tests."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with compiled_once.by_one_worker(collector.path):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List tests that were skipped for want of a tool, so that a skip cannot go unnoticed."""
    slowest.note(
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
    )
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if dynamodb_local.SKIP_REASON in text:
            reason = text[text.index(dynamodb_local.SKIP_REASON) :]
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        terminalreporter.write_line(
            f"WARNING: {count} tests on AWS's own DynamoDB engine did NOT run. {reason}",
            red=True,
            bold=True,
        )


def _log_as_before() -> Iterator[None]:
    """Undo what a simulated world does to the log: it takes the place of all that hears it."""
    handlers, level = list(logger.handlers), logger.log_level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


_restore_after_a_module = pytest.fixture(scope="module", autouse=True)(_log_as_before)
_restore_after_a_test = pytest.fixture(autouse=True)(_log_as_before)


@pytest.fixture(scope="session")
def seed() -> int:
    """Seed of every random choice; printed by failing tests, replayed with TEST_SEED=…"""
    return int(os.environ.get(_SEED_VARIABLE) or random.SystemRandom().randrange(10**9))


@pytest.fixture
def dice(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """The test's own seeded randomness. Its output shows only when the test fails."""
    print(f"replay with {_SEED_VARIABLE}={seed}")
    return random.Random(f"{seed}-{request.node.nodeid}")
