"""Which errors of the platform are defects, and which faults from outside explain."""

from __future__ import annotations

import logging
import sys

import pytest
from botocore.exceptions import ReadTimeoutError

from runtime.errors import StaleWrite, Unavailable
from simulation.faults import client_error
from simulation.platform.logs import UNEXPECTED_FAILURE, ErrorLog

PASSING = client_error("ThrottlingException", "PutItem")
MISTAKEN = client_error("IdempotentParameterMismatchException", "TransactWriteItems")


def logged(message: str, error: BaseException) -> list[BaseException]:
    """The defects of a log in which the platform has noted this error."""
    log = ErrorLog(on_defect=lambda _: None)
    try:
        raise error
    except BaseException:  # noqa: BLE001 - as the platform's own log has it
        traced = sys.exc_info()
    log.emit(logging.LogRecord("platform", logging.ERROR, "", 0, message, None, traced))
    return log.defects


def raised(error: BaseException) -> list[BaseException]:
    """The defects of a function that ended in this error."""
    log = ErrorLog(on_defect=lambda _: None)
    log.raised("project", error)
    return log.defects


@pytest.mark.parametrize(
    "error", [PASSING, ReadTimeoutError(endpoint_url="x"), Unavailable("busy")], ids=repr
)
def test_what_faults_end_in_is_no_defect(error: BaseException) -> None:
    assert logged("a webhook could not be written", error) == raised(error) == []


@pytest.mark.parametrize("error", [MISTAKEN, KeyError("id"), StaleWrite("t", "x")], ids=repr)
def test_what_no_fault_explains_is_a_defect(error: BaseException) -> None:
    assert logged("a webhook could not be written", error) == raised(error) == [error]


def test_an_answer_of_500_is_a_defect_whatever_its_cause() -> None:
    assert logged(UNEXPECTED_FAILURE, PASSING) == [PASSING]
