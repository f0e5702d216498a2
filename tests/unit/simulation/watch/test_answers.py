"""Answers checked against the contract, and 5xx answers against injected faults."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.platform.history import Exchange
from simulation.watch.answers import answer_faults
from tests.support.simulation.exchanges import exchange

CRASHED = exchange(1.0, 2.0, "POST", "/v1/payments", status=500, by_gateway=True)
TOO_LATE = exchange(1.0, 31.0, "GET", "/v1/payments", status=503, by_gateway=True)
TRY_AGAIN = exchange(
    *(1.0, 2.0, "POST", "/v1/payments"),
    status=503,
    answer={"code": "unavailable"},
    headers={"Retry-After": "1"},
)


@pytest.mark.parametrize("answered", [CRASHED, TOO_LATE, TRY_AGAIN])
def test_a_5xx_is_expected_for_a_request_that_began_under_faults(
    answered: Exchange,
) -> None:
    assert list(answer_faults([answered])) == []


@pytest.mark.parametrize(
    ("answered", "what"),
    [
        (CRASHED, "the gateway answers 500 though nothing goes wrong"),
        (TOO_LATE, "the gateway answers 503 though nothing goes wrong"),
        (TRY_AGAIN, "503 though nothing goes wrong"),
    ],
)
def test_a_5xx_is_found_for_a_request_that_began_without_faults(
    answered: Exchange, what: str
) -> None:
    (fault,) = answer_faults([replace(answered, calm=True)])
    assert what in fault


def test_an_event_refused_for_arriving_too_early_is_always_expected() -> None:
    path, again = "/v1/processor-events/stripe", {"Retry-After": "1"}
    early, other = (
        exchange(1.0, 2.0, "POST", path, status=503, answer={"code": code}, headers=again)
        for code in ("unavailable", "keys_unavailable")
    )
    assert list(answer_faults([replace(early, calm=True)])) == []
    assert len(list(answer_faults([replace(other, calm=True)]))) == 1


def test_other_answers_are_ignored() -> None:
    found = exchange(1.0, 2.0, "GET", "/v1/payments", status=200)
    unanswered = exchange(1.0, 2.0, "GET", "/v1/payments")
    assert list(answer_faults([replace(each, calm=True) for each in (found, unanswered)])) == []


def test_a_503_without_retry_after_is_always_found() -> None:
    hurried = exchange(1.0, 2.0, "GET", "/v1/payments", status=503, answer={"code": "unavailable"})
    (fault,) = answer_faults([hurried])
    assert fault.endswith("503 without Retry-After")
