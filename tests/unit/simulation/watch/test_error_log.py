"""Which errors of the platform are bugs, and which are explained by injected faults."""

from __future__ import annotations

import logging
import sys

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import ReadTimeoutError

from runtime.core.change_context import OUT_OF_BAND, PARKED
from runtime.core.errors import KeysUnavailable, StaleWrite, Unavailable
from runtime.core.observability import logger
from runtime.reporting.exports.jobs import ExportBusy
from runtime.verification.models import LEDGER_VERIFICATION_FAILED
from simulation.faults import client_error
from simulation.platform.logs import (
    ANSWER_NOT_KEPT,
    EXPECTED_LINES,
    UNEXPECTED_FAILURE,
    ErrorLog,
)
from simulation.platform.plan import Plan
from simulation.platform.run_state import IN_FLIGHT_SECONDS, Phase, RunState
from simulation.platform.world import Platform
from simulation.tasks import Violation
from simulation.watch.settled.check import check_settled

PASSING = client_error("ThrottlingException", "PutItem")
MISTAKEN = client_error("IdempotentParameterMismatchException", "TransactWriteItems")


def logged(message: str, error: BaseException) -> list[BaseException]:
    """The bugs in a log that contains this error."""
    log = ErrorLog(on_defect=lambda _: None)
    try:
        raise error
    except BaseException:  # noqa: BLE001 - as the platform's own log has it
        traced = sys.exc_info()
    log.emit(logging.LogRecord("platform", logging.ERROR, "", 0, message, None, traced))
    return log.defects


def raised(error: BaseException) -> list[BaseException]:
    """The bugs of a function that raised this error."""
    log = ErrorLog(on_defect=lambda _: None)
    log.raised("project", error)
    return log.defects


@pytest.mark.parametrize(
    "error", [PASSING, ReadTimeoutError(endpoint_url="x"), Unavailable("busy")], ids=repr
)
def test_an_error_caused_by_faults_is_not_a_bug(error: BaseException) -> None:
    assert logged("a webhook could not be written", error) == raised(error) == []


@pytest.mark.parametrize("error", [MISTAKEN, KeyError("id"), StaleWrite("t", "x")], ids=repr)
def test_an_error_that_no_fault_explains_is_a_bug(error: BaseException) -> None:
    assert logged("a webhook could not be written", error) == raised(error) == [error]


def test_a_500_is_a_bug_whatever_its_cause() -> None:
    assert logged(UNEXPECTED_FAILURE, PASSING) == [PASSING]


# ---------------------------------------------------------------- lines without an exception


def lines(phase: Phase, message: str, error: BaseException | None = None, **more: str) -> list[str]:
    """The unexpected lines of a log with this line."""
    found: list[str] = []
    log = ErrorLog(lambda _: None, found.append, lambda: phase)
    traced = None if error is None else (type(error), error, None)
    record = logging.LogRecord("platform", logging.ERROR, "", 0, message, None, traced)
    vars(record).update(more)
    log.emit(record)
    return found


@pytest.mark.parametrize("phase", Phase)
def test_an_unexpected_line_is_found_with_its_details(phase: Phase) -> None:
    (line,) = lines(phase, PARKED, table="payments")
    assert line == f"{phase.value}: {PARKED} {{'table': 'payments'}}"


@pytest.mark.parametrize("message", [KeysUnavailable.code, ANSWER_NOT_KEPT, "events were rejected"])
def test_a_line_explained_by_faults_is_expected_during_faults(message: str) -> None:
    assert lines(Phase.FAULTS, message) == []
    (line,) = lines(Phase.CALM, message)
    assert line.startswith("calm: ")


def test_out_of_band_edits_are_logged() -> None:
    assert lines(Phase.FAULTS, OUT_OF_BAND) == lines(Phase.CALM, OUT_OF_BAND) == []
    assert len(lines(Phase.CALM, LEDGER_VERIFICATION_FAILED)) == 1
    assert lines(Phase.TAMPERED, LEDGER_VERIFICATION_FAILED) == []


def test_an_exception_explained_by_faults_is_found_without_faults() -> None:
    assert lines(Phase.FAULTS, "a webhook could not be written", PASSING) == []
    (line,) = lines(Phase.CALM, "a webhook could not be written", PASSING)
    assert "ClientError" in line


def test_a_function_that_raises_without_faults_is_found() -> None:
    for phase, many in ((Phase.FAULTS, 0), (Phase.CALM, 1)):
        found: list[str] = []
        log = ErrorLog(lambda _: None, found.append, lambda phase=phase: phase)
        log.raised("project", PASSING)
        assert len(found) == many


def batch_of(error: Exception) -> BatchProcessingError:
    return BatchProcessingError("all records failed", [(type(error), error, None)])


def test_messages_may_wait_only_for_a_lease_or_another_worker() -> None:
    for error, many in ((ExportBusy("busy"), 0), (StaleWrite("t", "x"), 0), (PASSING, 1)):
        found: list[str] = []
        log = ErrorLog(lambda _: None, found.append, lambda: Phase.CALM)
        log.raised("export", batch_of(error))
        assert len(found) == many
        log.raised("export", error)
        assert len(found) == many + 1, "it is expected only for messages"


def test_every_expected_line_has_its_reason() -> None:
    assert set(EXPECTED_LINES) == set(Phase)
    assert all(reason for expected in EXPECTED_LINES.values() for reason in expected.values())


# ---------------------------------------------------------------- in a platform


def test_an_unexpected_line_ends_the_run() -> None:
    plan = Plan.drawn("log", 10, parts=())
    platform = Platform(plan.seed, plan)
    platform.scheduler.at(1.0, lambda: logger.error(PARKED, table="payments"))
    with pytest.raises(Violation, match=PARKED):
        platform.scheduler.run(max_time=10.0)
    assert [finding.rule for finding in platform.watch.findings] == ["log"]


def test_an_unexpected_line_while_the_world_comes_to_rest_is_found() -> None:
    plan = Plan.drawn("log", 10, parts=())
    platform = Platform(plan.seed, plan)
    platform.run()
    platform.scheduler.at(platform.scheduler.now + 1.0, lambda: logger.error(PARKED))
    platform.settle()
    assert check_settled(platform) == [f"log: calm: {PARKED} {{}}"]


def test_calls_stuck_at_the_end_of_faults_explain_lines_for_a_minute() -> None:
    now = 100.0
    state = RunState(lambda: now)
    assert state.phase is Phase.CALM, "without faults it is calm from the beginning"
    state.calm_since = None
    assert state.phase is Phase.FAULTS
    state.calm_since = 99.0
    assert (state.phase, state.is_calm) == (Phase.FAULTS, True)
    state.calm_since = now - IN_FLIGHT_SECONDS
    assert state.phase is Phase.CALM
    state.is_tampered = True
    assert state.phase is Phase.TAMPERED
