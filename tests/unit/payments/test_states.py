"""The states of a payment: every transition missing from the table is illegal."""

from __future__ import annotations

from itertools import product

import pytest

from runtime.payments.models import PaymentStatus
from runtime.payments.rules import (
    RETRIABLE_DECLINES,
    TRANSITIONS,
    Approved,
    Refused,
    may_become,
    sources_of,
    status_after,
)

S = PaymentStatus
LEGAL = {
    (S.PENDING, S.PROCESSING),
    (S.PENDING, S.CANCELED),
    (S.PROCESSING, S.SUCCEEDED),
    (S.PROCESSING, S.REQUIRES_CAPTURE),
    (S.PROCESSING, S.FAILED),
    (S.PROCESSING, S.UNKNOWN),
    (S.PROCESSING, S.REQUIRES_ACTION),
    (S.UNKNOWN, S.SUCCEEDED),
    (S.UNKNOWN, S.REQUIRES_CAPTURE),
    (S.UNKNOWN, S.FAILED),
    (S.UNKNOWN, S.REQUIRES_ACTION),
    (S.REQUIRES_ACTION, S.REQUIRES_ACTION),
    (S.REQUIRES_ACTION, S.SUCCEEDED),
    (S.REQUIRES_ACTION, S.REQUIRES_CAPTURE),
    (S.REQUIRES_ACTION, S.FAILED),
    (S.REQUIRES_ACTION, S.CANCELED),
    (S.REQUIRES_CAPTURE, S.REQUIRES_CAPTURE),
    (S.REQUIRES_CAPTURE, S.SUCCEEDED),
    (S.REQUIRES_CAPTURE, S.CANCELED),
    (S.SUCCEEDED, S.SUCCEEDED),
}


@pytest.mark.parametrize(("current", "wanted"), list(product(S, S)))
def test_only_the_transitions_of_the_state_machine_are_legal(
    current: PaymentStatus, wanted: PaymentStatus
) -> None:
    assert may_become(current, wanted) is ((current, wanted) in LEGAL)
    assert (current in sources_of(wanted)) is ((current, wanted) in LEGAL)


def test_failed_and_canceled_payments_are_final() -> None:
    assert not TRANSITIONS.get(S.FAILED)
    assert not TRANSITIONS.get(S.CANCELED)


def test_the_processors_answer_determines_the_status_of_a_charge() -> None:
    assert status_after(Approved("p", 1)) is S.SUCCEEDED
    assert status_after(Refused(None, "generic_decline", "No")) is S.FAILED


def test_a_charge_that_waited_and_was_canceled_at_the_processor_was_not_declined() -> None:
    canceled = Refused(None, "canceled", "Canceled")
    assert status_after(canceled, waited=True) is S.CANCELED
    assert status_after(canceled) is S.FAILED
    assert status_after(Refused(None, "generic_decline", "No"), waited=True) is S.FAILED
    assert status_after(Approved("p", 1), waited=True) is S.SUCCEEDED


def test_the_processors_answer_determines_the_status_of_an_authorization() -> None:
    assert status_after(Approved("p", 0), captures=False) is S.REQUIRES_CAPTURE
    assert status_after(Refused(None, "generic_decline", "No"), captures=False) is S.FAILED


def test_temporary_declines_are_distinguished_from_permanent_ones() -> None:
    passing = {"insufficient_funds", "processor_unreachable", "try_again_later"}
    assert passing <= RETRIABLE_DECLINES
    for code in RETRIABLE_DECLINES:
        assert Refused(None, code, "No").is_retriable
    for code in ("expired_card", "fraudulent", "generic_decline", "refund_refused"):
        assert not Refused("p", code, "No").is_retriable
