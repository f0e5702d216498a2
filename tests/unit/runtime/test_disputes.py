"""Disputes end alike in whatever order their news come, and however often."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.domain.disputes import changes_after, dispute_step
from runtime.domain.ledger import chargeback_legs, reversal_legs
from runtime.domain.processor_events import EventKind, ProcessorEvent
from runtime.models.payment import DisputeStatus, Payment, PaymentStatus

NOW = datetime(2026, 3, 14, tzinfo=UTC)
OPENED, WON, LOST = EventKind.DISPUTE_OPENED, EventKind.DISPUTE_WON, EventKind.DISPUTE_LOST
SOME = st.lists(st.sampled_from([OPENED, WON]), min_size=1, max_size=6)


def a_payment(captured: int = 1000, refunded: int = 0) -> Payment:
    at = "2026-03-14T00:00:00.000Z"
    return Payment(
        id="pay_1",
        status=PaymentStatus.SUCCEEDED,
        amount=captured,
        currency="USD",
        amount_captured=captured,
        amount_refunded=refunded,
        refundable_minor=captured - refunded,
        payment_method="tok_approved",
        processor="sandbox",
        claim_key="key",
        created_at=at,
        updated_at=at,
        changed_by="test",
        request_id="test",
        cause="test",
    )


def news(
    kind: EventKind, dispute: str = "dp_1", amount: int = 600, fee: int = 15
) -> ProcessorEvent:
    return ProcessorEvent(
        id=f"evt_{kind}",
        kind=kind,
        at=NOW,
        dispute_id=dispute,
        amount_minor=amount,
        currency="USD",
        fee_minor=fee,
    )


def told(payment: Payment, *events: ProcessorEvent) -> tuple[Payment, Counter[str]]:
    """The payment after the events, and what was booked, by account."""
    booked: Counter[str] = Counter()
    for event in events:
        step = dispute_step(payment, event)
        if step is None:
            continue
        assert event.dispute_id is not None
        payment = payment.model_copy(update=changes_after(payment, event.dispute_id, step))
        legs = (
            *chargeback_legs("mer_1", "USD", step.withdrawn_minor, step.fee_minor),
            *reversal_legs("mer_1", "USD", step.returned_minor),
        )
        for leg in legs:
            booked[leg.from_account_id] -= leg.amount
            booked[leg.to_account_id] += leg.amount
        must_add_up(payment)
    return payment, booked


def must_add_up(payment: Payment) -> None:
    withheld = sum(each.withheld for each in (payment.disputes or {}).values())
    assert payment.refundable_minor >= 0
    assert payment.refundable_minor + payment.amount_refunded + withheld == payment.amount_captured


def test_an_opened_dispute_withdraws_its_amount_and_fee_and_keeps_them_from_being_refunded() -> (
    None
):
    payment, booked = told(a_payment(), news(OPENED))
    assert payment.dispute_status is DisputeStatus.OPENED
    assert payment.refundable_minor == 400
    assert booked["acc_receivable_mer_1_USD"] == -615
    assert booked["acc_clearing_USD"] == 600
    assert booked["acc_fees_USD"] == 15


def test_a_won_dispute_returns_the_amount_but_not_the_fee() -> None:
    payment, booked = told(a_payment(), news(OPENED), news(WON))
    assert payment.dispute_status is DisputeStatus.WON
    assert payment.refundable_minor == 1000
    assert booked["acc_receivable_mer_1_USD"] == -15
    assert booked["acc_clearing_USD"] == 0


def test_a_lost_dispute_leaves_the_amount_withdrawn_for_good() -> None:
    payment, booked = told(a_payment(), news(OPENED), news(LOST))
    assert payment.dispute_status is DisputeStatus.LOST
    assert payment.refundable_minor == 400
    assert booked["acc_receivable_mer_1_USD"] == -615


def test_a_dispute_that_was_lost_before_it_was_seen_to_be_opened_is_withdrawn_once() -> None:
    assert told(a_payment(), news(LOST), news(OPENED)) == told(
        a_payment(), news(OPENED), news(LOST)
    )


def test_a_dispute_that_was_won_before_it_was_seen_to_be_opened_moves_nothing_until_then() -> None:
    early, nothing = told(a_payment(), news(WON))
    assert early.dispute_status is DisputeStatus.WON
    assert not +nothing
    assert early.refundable_minor == 1000
    assert told(a_payment(), news(WON), news(OPENED)) == told(a_payment(), news(OPENED), news(WON))


@pytest.mark.parametrize("end", [WON, LOST])
def test_every_order_of_repeated_news_ends_alike(end: EventKind) -> None:
    ends = {
        repr(told(a_payment(), *map(news, order)))
        for order in set(permutations([OPENED, OPENED, end, end]))
    }
    assert len(ends) == 1


@given(SOME)
def test_what_is_withdrawn_and_returned_is_booked_once_each(kinds: list[EventKind]) -> None:
    payment, booked = told(a_payment(), *map(news, kinds))
    withdrawn, won = OPENED in kinds, WON in kinds
    assert booked["acc_fees_USD"] == (15 if withdrawn else 0)
    assert booked["acc_clearing_USD"] == (600 if withdrawn and not won else 0)
    assert sum(booked.values()) == 0
    must_add_up(payment)


def test_a_fee_that_becomes_known_later_is_booked_by_itself() -> None:
    payment, booked = told(a_payment(), news(OPENED, fee=0), news(OPENED, fee=15))
    assert booked["acc_fees_USD"] == 15
    assert booked["acc_clearing_USD"] == 600
    assert (payment.disputes or {})["dp_1"].fee == 15


def test_a_dispute_over_more_than_is_left_withholds_only_what_is_left() -> None:
    payment, booked = told(a_payment(1000, refunded=700), news(OPENED))
    assert payment.refundable_minor == 0
    assert booked["acc_clearing_USD"] == 600
    payment, _ = told(payment, news(WON))
    assert payment.refundable_minor == 300


def test_a_payment_stays_disputed_while_one_of_its_disputes_is_open() -> None:
    payment, _ = told(
        a_payment(), news(OPENED, "dp_1", 100), news(OPENED, "dp_2", 200), news(WON, "dp_1", 100)
    )
    assert payment.dispute_status is DisputeStatus.OPENED
    assert payment.refundable_minor == 800
    payment, _ = told(payment, news(LOST, "dp_2", 200))
    assert payment.dispute_status is DisputeStatus.LOST


def test_what_was_won_stays_won_whatever_is_told_later() -> None:
    payment, booked = told(a_payment(), news(OPENED), news(WON), news(LOST))
    assert payment.dispute_status is DisputeStatus.WON
    assert booked["acc_clearing_USD"] == 0
