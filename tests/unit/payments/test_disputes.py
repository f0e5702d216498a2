"""The bookings of a dispute match the processor's latest state, whatever was reported before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from runtime.ledger.rules import dispute_legs
from runtime.payments.disputes.rules import (
    DisputeStep,
    changes_after,
    dispute_step,
    next_posting_id,
    refundable_again,
)
from runtime.payments.models import Dispute, DisputeStatus, Payment, PaymentStatus
from runtime.payments.operations.rules import after_failed_refund
from runtime.payments.processors.events import DisputeState

NOW = datetime(2026, 3, 14, tzinfo=UTC)
OPENED, WON, LOST = DisputeStatus.OPENED, DisputeStatus.WON, DisputeStatus.LOST
AMOUNTS = st.integers(0, 1000)
STATES = st.builds(
    lambda status, withdrawn, reinstated, fee: says(status, "dp_1", withdrawn, reinstated, fee),
    st.sampled_from([OPENED, WON, LOST]),
    AMOUNTS,
    AMOUNTS,
    st.integers(0, 50),
)


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


def says(
    status: DisputeStatus,
    dispute: str = "dp_1",
    withdrawn: int = 600,
    reinstated: int = 0,
    fee: int = 15,
) -> DisputeState:
    """A dispute's state at the processor."""
    return DisputeState(dispute, status, NOW, "USD", 600, withdrawn, reinstated, fee)


def reported(payment: Payment, *states: DisputeState) -> tuple[Payment, Counter[str]]:
    """The payment after these states, and the bookings, by account."""
    booked: Counter[str] = Counter()
    for state in states:
        step = dispute_step(payment, state)
        if step is None:
            continue
        payment = payment.model_copy(update=changes_after(payment, state.id, step))
        for leg in dispute_legs("mer_1", "USD", step.taken_minor, step.fee_minor):
            assert leg.amount > 0
            booked[leg.from_account_id] -= leg.amount
            booked[leg.to_account_id] += leg.amount
        must_add_up(payment)
    return payment, booked


def must_add_up(payment: Payment) -> None:
    withheld = sum(each.withheld for each in (payment.disputes or {}).values())
    assert payment.refundable_minor >= 0
    assert payment.refundable_minor + payment.amount_refunded + withheld == payment.amount_captured


def must_say(booked: Counter[str], state: DisputeState) -> None:
    """The bookings sum to the processor's amounts."""
    kept = state.withdrawn_minor - state.reinstated_minor
    assert booked["acc_clearing_USD"] == kept
    assert booked["acc_fees_USD"] == state.fee_minor
    assert booked["acc_receivable_mer_1_USD"] == -kept - state.fee_minor


def test_an_opened_dispute_withdraws_its_amount_and_fee_and_makes_them_not_refundable() -> None:
    payment, booked = reported(a_payment(), says(OPENED))
    assert payment.dispute_status is OPENED
    assert payment.refundable_minor == 400
    must_say(booked, says(OPENED))


def test_a_won_dispute_returns_the_reinstated_amount_but_not_the_fee() -> None:
    payment, booked = reported(a_payment(), says(OPENED), says(WON, reinstated=600))
    assert payment.dispute_status is WON
    assert payment.refundable_minor == 1000
    assert booked["acc_receivable_mer_1_USD"] == -15


def test_a_dispute_won_before_its_money_is_reinstated_returns_nothing_yet() -> None:
    payment, booked = reported(a_payment(), says(OPENED), says(WON))
    assert payment.dispute_status is WON
    assert payment.refundable_minor == 400
    must_say(booked, says(OPENED))


def test_the_reinstated_amount_may_be_less_or_more_than_the_withdrawn_one() -> None:
    for reinstated in (450, 700):
        payment, booked = reported(a_payment(), says(OPENED), says(WON, reinstated=reinstated))
        must_say(booked, says(WON, reinstated=reinstated))
        assert payment.refundable_minor == min(1000, 400 + reinstated)


def test_a_returned_fee_is_booked_back() -> None:
    payment, booked = reported(a_payment(), says(OPENED), says(WON, reinstated=600, fee=0))
    assert not +booked
    assert (payment.disputes or {})["dp_1"].fee == 0


def test_won_after_lost_and_lost_after_won_end_in_the_processors_latest_state() -> None:
    lost, won = says(LOST), says(WON, reinstated=600)
    payment, booked = reported(a_payment(), says(OPENED), lost, won)
    assert (payment.dispute_status, payment.refundable_minor) == (WON, 1000)
    must_say(booked, won)
    payment, booked = reported(a_payment(), says(OPENED), won, lost)
    assert (payment.dispute_status, payment.refundable_minor) == (LOST, 400)
    must_say(booked, lost)


def test_a_dispute_first_reported_when_won_is_booked_out_and_back() -> None:
    won = says(WON, reinstated=600)
    payment, booked = reported(a_payment(), won)
    assert payment.refundable_minor == 1000
    must_say(booked, won)


def test_an_inquiry_without_movements_books_nothing() -> None:
    assert dispute_step(a_payment(), says(OPENED, withdrawn=0, fee=0)) is None


@given(st.lists(STATES, min_size=1, max_size=8), st.data())
def test_any_number_and_order_of_reports_ends_in_the_latest_state(
    states: list[DisputeState], data: st.DataObject
) -> None:
    repeated = [state for state in states for _ in range(data.draw(st.integers(1, 2)))]
    heard = [*data.draw(st.permutations(repeated)), states[-1]]
    payment, booked = reported(a_payment(), *heard)
    must_say(booked, states[-1])
    assert sum(booked.values()) == 0
    if payment.disputes:
        assert payment.dispute_status is states[-1].status
    assert reported(payment, states[-1]) == (payment, Counter())


def test_a_dispute_above_the_rest_withholds_only_the_rest() -> None:
    payment, booked = reported(a_payment(1000, refunded=700), says(OPENED))
    assert payment.refundable_minor == 0
    assert booked["acc_clearing_USD"] == 600
    payment, _ = reported(payment, says(WON, reinstated=600))
    assert payment.refundable_minor == 300


def test_a_payment_stays_disputed_while_one_of_its_disputes_is_open() -> None:
    one, other = says(OPENED, "dp_1", 100), says(OPENED, "dp_2", 200)
    payment, _ = reported(a_payment(), one, other, says(WON, "dp_1", 100, 100))
    assert payment.dispute_status is OPENED
    assert payment.refundable_minor == 800
    payment, _ = reported(payment, says(LOST, "dp_2", 200))
    assert payment.dispute_status is LOST


def test_a_dispute_stored_without_amounts_has_the_whole_amount() -> None:
    stored = {"status": "won", "amount": 600, "fee": 15, "withdrawn": True, "returned": False}
    read = Dispute.model_validate(stored)
    assert (read.withdrawn, read.returned) == (600, 0)


def test_every_step_with_a_booking_has_its_own_transfer() -> None:
    known = Dispute(status=OPENED, amount=600, since="2026-03-14T00:00:00.000Z")
    first = next_posting_id("pay_1", "dp_1", known)
    booked = DisputeStep(known, 600).booked_by(first).dispute
    assert booked.transfer_ids == (first,)
    assert next_posting_id("pay_1", "dp_1", booked) != first


def test_a_failed_refund_is_not_refundable_if_a_dispute_has_taken_the_money() -> None:
    payment, _ = reported(a_payment(captured=600, refunded=600), says(OPENED))
    assert (payment.refundable_minor, withheld(payment)) == (0, 0), "there was nothing to withhold"
    after = payment.model_copy(update=after_failed_refund(payment, 600))
    assert (after.refundable_minor, withheld(after)) == (0, 600)
    reinstated, _ = reported(after, says(WON, reinstated=600))
    assert (reinstated.refundable_minor, withheld(reinstated)) == (600, 0)


@given(
    refunded=st.integers(0, 1000),
    back=st.integers(0, 1000),
    taken=st.lists(AMOUNTS, max_size=3),
)
def test_disputed_amounts_are_withheld_before_anything_is_refundable_again(
    refunded: int, back: int, taken: list[int]
) -> None:
    back = min(back, refunded)
    states = [says(OPENED, f"dp_{n}", withdrawn) for n, withdrawn in enumerate(taken)]
    payment, _ = reported(a_payment(refunded=refunded), *states)
    after = payment.model_copy(update=refundable_again(payment, back))
    assert after.refundable_minor + withheld(after) == 1000 - refunded + back
    assert withheld(after) == min(sum(taken), 1000 - refunded + back)


def test_an_amount_released_by_one_dispute_is_withheld_for_the_other_first() -> None:
    one, other = says(OPENED, "dp_1", 1000), says(OPENED, "dp_2", 600)
    both, _ = reported(a_payment(), one, other)
    assert (both.refundable_minor, withheld(both)) == (0, 1000)
    half, _ = reported(both, says(OPENED, "dp_1", 1000, 500))
    assert (half.refundable_minor, withheld(half)) == (0, 1000)
    won = says(WON, "dp_1", 1000, 1000)
    after, _ = reported(half, won, won, other)
    assert (after.refundable_minor, withheld(after)) == (400, 600)
    assert reported(both, won)[0].disputes == after.disputes
    ended, _ = reported(after, says(WON, "dp_2", 600, 600))
    assert (ended.refundable_minor, withheld(ended)) == (1000, 0)


def test_the_dispute_that_is_withheld_in_part_may_end_first() -> None:
    one, other = says(OPENED, "dp_1", 1000), says(OPENED, "dp_2", 600)
    both, _ = reported(a_payment(), one, other)
    first, _ = reported(both, says(WON, "dp_2", 600, 600))
    assert (first.refundable_minor, withheld(first)) == (0, 1000)
    ended, _ = reported(first, says(WON, "dp_1", 1000, 1000))
    assert (ended.refundable_minor, withheld(ended)) == (1000, 0)


OVERLAPPING = st.builds(
    lambda status, dispute, withdrawn, reinstated: says(
        status, dispute, withdrawn, min(withdrawn, reinstated)
    ),
    st.sampled_from([OPENED, WON, LOST]),
    st.sampled_from(["dp_1", "dp_2", "dp_3"]),
    AMOUNTS,
    AMOUNTS,
)


@given(refunded=AMOUNTS, states=st.lists(OVERLAPPING, max_size=8))
def test_nothing_that_overlapping_disputes_keep_is_refundable(
    refunded: int, states: list[DisputeState]
) -> None:
    payment, _ = reported(a_payment(refunded=refunded), *states)
    kept = sum(each.withdrawn - each.returned for each in (payment.disputes or {}).values())
    assert payment.refundable_minor + withheld(payment) == 1000 - refunded
    assert withheld(payment) == min(kept, 1000 - refunded)


def withheld(payment: Payment) -> int:
    """The amount that disputes withhold from refunds."""
    return sum(each.withheld for each in (payment.disputes or {}).values())
