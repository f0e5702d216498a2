"""The life of a payment: what the table lacks is illegal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from runtime.domain.instants import to_instant
from runtime.domain.payments import (
    TRANSITIONS,
    Approved,
    Refused,
    absence_is_final,
    may_become,
    sources_of,
    status_after,
)
from runtime.models.payment import Payment, PaymentStatus

S = PaymentStatus
LEGAL = {
    (S.PENDING, S.PROCESSING),
    (S.PENDING, S.CANCELED),
    (S.PROCESSING, S.SUCCEEDED),
    (S.PROCESSING, S.REQUIRES_CAPTURE),
    (S.PROCESSING, S.FAILED),
    (S.PROCESSING, S.UNKNOWN),
    (S.UNKNOWN, S.SUCCEEDED),
    (S.UNKNOWN, S.REQUIRES_CAPTURE),
    (S.UNKNOWN, S.FAILED),
    (S.REQUIRES_CAPTURE, S.REQUIRES_CAPTURE),
    (S.REQUIRES_CAPTURE, S.SUCCEEDED),
    (S.REQUIRES_CAPTURE, S.CANCELED),
    (S.SUCCEEDED, S.SUCCEEDED),
}


@pytest.mark.parametrize(("current", "wanted"), list(product(S, S)))
def test_only_the_steps_of_the_state_machine_are_legal(
    current: PaymentStatus, wanted: PaymentStatus
) -> None:
    assert may_become(current, wanted) is ((current, wanted) in LEGAL)
    assert (current in sources_of(wanted)) is ((current, wanted) in LEGAL)


def test_failed_and_canceled_payments_are_final() -> None:
    assert not TRANSITIONS.get(S.FAILED)
    assert not TRANSITIONS.get(S.CANCELED)


def test_the_processors_answer_decides_an_automatic_payment() -> None:
    assert status_after(Approved("p", 1)) is S.SUCCEEDED
    assert status_after(Refused(None, "generic_decline", "No")) is S.FAILED


def test_absence_is_final_only_when_the_request_cannot_be_on_its_way_any_more() -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    payment = Payment(
        id="pay_1",
        status=S.UNKNOWN,
        amount=1,
        currency="USD",
        payment_method="tok",
        processor="sandbox",
        claim_key="k",
        created_at=to_instant(begun),
        updated_at=to_instant(begun + timedelta(hours=1)),
        changed_by="x",
        request_id="r",
        cause="c",
    )
    longest = timedelta(seconds=75)
    assert not absence_is_final(payment, begun + longest - timedelta(milliseconds=1), longest)
    assert absence_is_final(payment, begun + longest, longest)
