"""Captures, refunds and voids: when each is allowed, and the sums after any order of answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runtime.core.errors import AmountTooLarge, InvalidState
from runtime.core.timestamps import to_timestamp
from runtime.payments.models import MAX_TRANSACTIONS, Payment, PaymentStatus
from runtime.payments.operations.rules import (
    LONGEST_RETRY,
    MAX_TRANSACTIONS_BEFORE,
    MERCHANTS_VOIDS_BEFORE,
    PLATFORMS_VOIDS_BEFORE,
    absence_is_final,
    after_failed_refund,
    are_consistent,
    ceiling_of,
    changes_after,
    refusal_of,
    retry_delay,
    void_is_due,
    void_retry_delay,
)
from runtime.payments.rules import Approved, ProcessorAnswer, Refused, may_become
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from runtime.payments.writes import begin_on_payment

S, T = PaymentStatus, TransactionType
AT = to_timestamp(datetime(2026, 1, 1, tzinfo=UTC))
NO = Refused("p", "generic_decline", "No")
STAMP = {"created_at": AT, "updated_at": AT, "changed_by": "x", "request_id": "r", "cause": "c"}

OPERATIONS = [(T.CAPTURE, True), (T.CAPTURE, False), (T.REFUND, True), (T.VOID, True)]
"""Kind, and whether it is final: all possible requests."""
NOUNS = {T.CAPTURE: "captured", T.REFUND: "refunded", T.VOID: "canceled"}


def a_payment(status: PaymentStatus, **changes: Any) -> Payment:
    """A payment of 100 in `status` after its charge, with `changes`."""
    amounts: dict[PaymentStatus, dict[str, Any]] = {
        S.REQUIRES_CAPTURE: {"capturable_minor": 100, "open_bucket": "o", "next_action_at": AT},
        S.SUCCEEDED: {"amount_captured": 100, "refundable_minor": 100},
    }
    values: dict[str, Any] = {
        "id": "pay_1",
        "status": status,
        "amount": 100,
        "currency": "USD",
        "capture_method": "manual",
        "payment_method": "tok",
        "processor": "sandbox",
        "claim_key": "k",
        "transaction_ids": ("txn_0",),
        **STAMP,
        **amounts.get(status, {}),
        **changes,
    }
    return Payment.model_validate(values)


def an_operation(
    kind: TransactionType, amount: int, *, final: bool = True, number: int = 1
) -> Transaction:
    return Transaction(
        id=f"txn_{number}",
        payment_id="pay_1",
        type=kind,
        amount=amount,
        currency="USD",
        status=TransactionStatus.PENDING,
        final=final if kind is T.CAPTURE else None,
        **STAMP,  # type: ignore[arg-type]
    )


def begun(payment: Payment, operation: Transaction) -> Payment:
    """The payment after the operation's first commit: the effect of its own write."""
    write = begin_on_payment(operation)
    changes: dict[str, Any] = dict(write.assigned)
    for name, change in {**write.increments, **write.counts}.items():
        changes[name] = getattr(payment, name) + change
    for name, member in write.appended.items():
        changes[name] = (*getattr(payment, name), member)
    return payment.model_copy(update=changes)


def answered(payment: Payment, operation: Transaction, answer: ProcessorAnswer) -> Payment:
    return payment.model_copy(update=changes_after(payment, operation, answer))


# ------------------------------------------------------------ every status, every operation


ALLOWED = {
    (S.REQUIRES_CAPTURE, T.CAPTURE),
    (S.REQUIRES_CAPTURE, T.VOID),
    (S.REQUIRES_ACTION, T.VOID),
    (S.SUCCEEDED, T.REFUND),
}


@pytest.mark.parametrize(("kind", "final"), OPERATIONS)
@pytest.mark.parametrize("status", S)
def test_each_operation_is_allowed_in_its_states_and_otherwise_reports_the_status(
    status: PaymentStatus, kind: TransactionType, final: bool
) -> None:
    refusal = refusal_of(a_payment(status), kind, 100, final=final)
    if (status, kind) in ALLOWED:
        assert refusal is None
        return
    assert isinstance(refusal, InvalidState)
    assert f"pay_1 is {status}" in refusal.detail
    if (status, kind) != (S.REQUIRES_CAPTURE, T.REFUND):
        assert refusal.detail == f"pay_1 is {status} and cannot be {NOUNS[kind]}"


@pytest.mark.parametrize(("kind", "final"), OPERATIONS)
@pytest.mark.parametrize("status", S)
def test_a_partially_captured_payment_can_be_refunded_before_it_is_closed(
    status: PaymentStatus, kind: TransactionType, final: bool
) -> None:
    part = a_payment(status, amount_captured=60, refundable_minor=60, capturable_minor=40)
    refusal = refusal_of(part, kind, 40, final=final)
    allowed = ALLOWED | {(S.REQUIRES_CAPTURE, T.REFUND)}
    assert (refusal is None) is ((status, kind) in allowed)


@pytest.mark.parametrize(("kind", "final"), OPERATIONS)
def test_only_a_refund_can_begin_while_the_payment_is_being_closed(
    kind: TransactionType, final: bool
) -> None:
    closing = a_payment(
        S.REQUIRES_CAPTURE, closing_id="txn_1", amount_captured=10, refundable_minor=10
    )
    refusal = refusal_of(closing, kind, 10, final=final)
    if kind is T.REFUND:
        assert refusal is None
    else:
        assert isinstance(refusal, InvalidState)
        assert "wait for the result" in refusal.detail


@pytest.mark.parametrize(("kind", "final"), OPERATIONS)
def test_during_a_partial_capture_only_further_partial_captures_and_refunds_begin(
    kind: TransactionType, final: bool
) -> None:
    waiting = a_payment(
        S.REQUIRES_CAPTURE,
        capturable_minor=50,
        pending_capture_minor=40,
        amount_captured=10,
        refundable_minor=10,
    )
    refusal = refusal_of(waiting, kind, 10, final=final)
    if kind is T.REFUND or (kind is T.CAPTURE and not final):
        assert refusal is None
    else:
        assert isinstance(refusal, InvalidState)
        assert "pending capture of 40" in refusal.detail


@pytest.mark.parametrize(("kind", "final"), OPERATIONS[:3])
@pytest.mark.parametrize("amount", [0, 1, 99, 100, 101])
def test_an_amount_must_be_positive_and_within_its_limit(
    kind: TransactionType, final: bool, amount: int
) -> None:
    payment = a_payment(S.SUCCEEDED if kind is T.REFUND else S.REQUIRES_CAPTURE)
    assert ceiling_of(payment, kind) == 100
    refusal = refusal_of(payment, kind, amount, final=final)
    if 1 <= amount <= 100:
        assert refusal is None
    else:
        assert isinstance(refusal, AmountTooLarge)
        assert refusal.param == "amount"
        over = f"Only 100 of pay_1 can still be {NOUNS[kind]}; requested 101"
        assert refusal.detail == ("amount must be at least 1" if amount == 0 else over)


def test_the_error_shows_the_limit_and_the_pending_amount() -> None:
    payment = a_payment(S.SUCCEEDED, refundable_minor=30, pending_refund_minor=70)
    refusal = refusal_of(payment, T.REFUND, 31)
    assert refusal is not None
    assert refusal.detail == (
        "Only 30 of pay_1 can still be refunded; requested 31; 70 are pending"
    )


def test_the_error_says_whether_all_is_refunded_or_pending() -> None:
    refunded = a_payment(S.SUCCEEDED, refundable_minor=0, amount_refunded=100)
    pending = a_payment(S.SUCCEEDED, refundable_minor=0, pending_refund_minor=100)
    disputed = a_payment(S.SUCCEEDED, refundable_minor=0, amount_refunded=40)
    captured = a_payment(S.REQUIRES_CAPTURE, capturable_minor=0, pending_capture_minor=100)
    texts = [
        refusal.detail
        for payment, kind in (
            (refunded, T.REFUND),
            (pending, T.REFUND),
            (disputed, T.REFUND),
            (captured, T.CAPTURE),
        )
        if (refusal := refusal_of(payment, kind, 1, final=False)) is not None
    ]
    assert texts == [
        "pay_1 has already been refunded in full",
        "pay_1 has no amount left that can be refunded; 100 are pending",
        "pay_1 has no amount left that can be refunded",
        "pay_1 has no amount left that can be captured; 100 are pending",
    ]


MOST = [
    (T.CAPTURE, S.REQUIRES_CAPTURE, False, MAX_TRANSACTIONS_BEFORE[T.CAPTURE]),
    (T.REFUND, S.SUCCEEDED, False, MAX_TRANSACTIONS_BEFORE[T.REFUND]),
    *((T.VOID, status, False, most) for status, most in MERCHANTS_VOIDS_BEFORE.items()),
    *((T.VOID, status, True, most) for status, most in PLATFORMS_VOIDS_BEFORE.items()),
]
"""Kind, status, whether the platform itself begins it, and from how many transactions on not."""


@pytest.mark.parametrize(("kind", "status", "by_platform", "most"), MOST)
def test_an_operation_begins_below_its_number_of_transactions_and_not_at_it(
    kind: TransactionType, status: PaymentStatus, by_platform: bool, most: int
) -> None:
    ids = tuple(f"txn_{n}" for n in range(most))
    below = a_payment(status, transaction_ids=ids[:-1])
    assert refusal_of(below, kind, 1, by_platform=by_platform) is None
    full = refusal_of(a_payment(status, transaction_ids=ids), kind, 1, by_platform=by_platform)
    assert isinstance(full, InvalidState)
    assert f"{most} transactions" in full.detail


def test_captures_leave_room_for_refunds_and_both_for_a_merchants_and_the_platforms_void() -> None:
    assert (
        MAX_TRANSACTIONS_BEFORE[T.CAPTURE]
        < MAX_TRANSACTIONS_BEFORE[T.REFUND]
        < MERCHANTS_VOIDS_BEFORE[S.REQUIRES_CAPTURE]
        < PLATFORMS_VOIDS_BEFORE[S.REQUIRES_CAPTURE]
    )
    assert PLATFORMS_VOIDS_BEFORE[S.REQUIRES_CAPTURE] == MAX_TRANSACTIONS


def test_refused_voids_before_the_approval_leave_room_for_the_charge_and_a_capture() -> None:
    merchants, platforms = (
        each[S.REQUIRES_ACTION] for each in (MERCHANTS_VOIDS_BEFORE, PLATFORMS_VOIDS_BEFORE)
    )
    assert merchants < platforms
    with_charge = platforms + 1
    assert with_charge < MAX_TRANSACTIONS_BEFORE[T.CAPTURE]


@pytest.mark.parametrize("kind", [T.CAPTURE, T.REFUND])
def test_an_answer_to_an_operation_that_is_not_pending_is_a_bug(kind: TransactionType) -> None:
    for status, answer in product((S.REQUIRES_CAPTURE, S.SUCCEEDED), (Approved("p", 1), NO)):
        with pytest.raises(AssertionError, match="no pending"):
            changes_after(a_payment(status), an_operation(kind, 1), answer)


@pytest.mark.parametrize(("kind", "final"), OPERATIONS)
@pytest.mark.parametrize("approved", [True, False])
def test_a_payment_matches_only_its_transactions_of_the_same_moment(
    kind: TransactionType, final: bool, approved: bool
) -> None:
    charge = an_operation(T.CAPTURE, 100, number=0).model_copy(
        update={
            "type": T.CAPTURE if kind is T.REFUND else T.AUTHORIZATION,
            "status": TransactionStatus.SUCCEEDED,
        }
    )
    waits = an_operation(kind, 100 if kind is T.VOID else 40, final=final)
    became = TransactionStatus.SUCCEEDED if approved else TransactionStatus.FAILED
    done = waits.model_copy(update={"status": became})
    before = a_payment(S.SUCCEEDED if kind is T.REFUND else S.REQUIRES_CAPTURE)
    pending = begun(before, waits)
    after = answered(pending, waits, Approved("p", 0) if approved else NO)
    moments = [(before, [charge]), (pending, [charge, waits]), (after, [charge, done])]
    for (payment, _), (_, transactions) in product(moments, moments):
        assert are_consistent(payment, transactions) is ((payment, transactions) in moments)


# ------------------------------------------------------------ any order of intents and answers


class PaymentMachine(RuleBasedStateMachine):
    """One payment; operations begin and end in any order. The sums are computed independently."""

    def __init__(self) -> None:
        super().__init__()
        self.payment = a_payment(S.PROCESSING)
        self.pending: list[Transaction] = []
        self.captured = self.refunded = self.fees = 0
        self.steps: set[tuple[PaymentStatus, PaymentStatus]] = set()
        self.number = 0

    @initialize(manual=st.booleans(), amount=st.integers(1, 300))
    def charged(self, manual: bool, amount: int) -> None:
        if manual:
            values = {"amount": amount, "capturable_minor": amount}
            self.payment = a_payment(S.REQUIRES_CAPTURE, **values)
        else:
            values = {"amount": amount, "amount_captured": amount, "refundable_minor": amount}
            self.payment = a_payment(S.SUCCEEDED, **values)
            self.captured = amount

    @rule(operation=st.sampled_from(OPERATIONS), amount=st.one_of(st.none(), st.integers(1, 320)))
    def begin(self, operation: tuple[TransactionType, bool], amount: int | None) -> None:
        kind, final = operation
        if amount is None or kind is T.VOID:
            amount = ceiling_of(self.payment, kind)
        if refusal_of(self.payment, kind, amount, final=final) is not None:
            return
        self.number += 1
        wanted = an_operation(kind, amount, final=final, number=self.number)
        self.payment = begun(self.payment, wanted)
        self.pending.append(wanted)

    @precondition(lambda self: self.pending)
    @rule(which=st.integers(0), approved=st.booleans(), fee=st.integers(0, 5))
    def answer(self, which: int, approved: bool, fee: int) -> None:
        done = self.pending.pop(which % len(self.pending))
        fee = fee if done.type is T.CAPTURE else 0
        before = self.payment.status
        self.payment = answered(self.payment, done, Approved("p", fee) if approved else NO)
        self.steps.add((before, self.payment.status))
        if approved and done.type is T.CAPTURE:
            self.captured += done.amount
            self.fees += fee
        if approved and done.type is T.REFUND:
            self.refunded += done.amount

    @precondition(lambda self: self.refunded)
    @rule(part=st.integers(1, 300))
    def a_refund_comes_back(self, part: int) -> None:
        amount = min(part, self.refunded)
        changes = after_failed_refund(self.payment, amount)
        self.payment = self.payment.model_copy(update=changes)
        self.refunded -= amount

    # ------------------------------------------------------------ invariants

    @invariant()
    def sums_agree_to_the_unit(self) -> None:
        payment = self.payment
        pending = {
            kind: sum(each.amount for each in self.pending if each.type is kind) for kind in T
        }
        assert (payment.amount_captured, payment.fee) == (self.captured, self.fees)
        assert payment.amount_refunded == self.refunded
        assert payment.pending_capture_minor == pending[T.CAPTURE]
        assert payment.pending_refund_minor == pending[T.REFUND]
        given = payment.refundable_minor + pending[T.REFUND] + self.refunded
        assert given == self.captured <= payment.amount
        if payment.status is S.REQUIRES_CAPTURE:
            left = payment.capturable_minor + pending[T.CAPTURE]
            assert left + self.captured == payment.amount
        elif payment.status in (S.SUCCEEDED, S.CANCELED):
            assert payment.capturable_minor == pending[T.CAPTURE] == 0
            assert (payment.closing_id, payment.open_bucket) == (None, None)
            assert (payment.status is S.SUCCEEDED) is (self.captured > 0)

    @invariant()
    def nothing_is_negative(self) -> None:
        Payment.model_validate(self.payment.model_dump())

    @invariant()
    def who_closes_is_alone(self) -> None:
        taking = [each for each in self.pending if each.type in (T.CAPTURE, T.VOID)]
        closing = [each for each in taking if each.final is not False]
        assert [each.id for each in closing] == [i for i in [self.payment.closing_id] if i]
        if closing:
            assert taking == closing

    @invariant()
    def only_steps_of_the_state_machine_were_taken(self) -> None:
        for before, after in self.steps:
            assert may_become(before, after)


def test_any_order_of_intents_and_answers_keeps_every_sum() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        PaymentMachine, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )


def test_a_last_partial_capture_closes_the_payment_although_it_is_not_final() -> None:
    payment = a_payment(S.REQUIRES_CAPTURE)
    parts = [an_operation(T.CAPTURE, 60, final=False), an_operation(T.CAPTURE, 40, final=False)]
    for part in parts:
        payment = begun(payment, part)
    payment = answered(payment, parts[1], Approved("p", 1))
    assert payment.status is S.REQUIRES_CAPTURE, "the first may still fail"
    refused = answered(payment, parts[0], NO)
    assert (refused.status, refused.capturable_minor) == (S.REQUIRES_CAPTURE, 60)
    assert answered(payment, parts[0], Approved("p", 1)).status is S.SUCCEEDED


@pytest.mark.parametrize(("captured", "status"), [(0, S.CANCELED), (60, S.SUCCEEDED)])
def test_a_void_cancels_an_uncaptured_payment_and_closes_a_captured_one(
    captured: int, status: PaymentStatus
) -> None:
    left = 100 - captured
    payment = a_payment(
        S.REQUIRES_CAPTURE,
        amount_captured=captured,
        refundable_minor=captured,
        capturable_minor=left,
    )
    void = an_operation(T.VOID, left)
    after = answered(begun(payment, void), void, Approved("p", 0))
    assert (after.status, after.capturable_minor, after.closing_id) == (status, 0, None)
    assert (after.open_bucket, after.next_action_at) == (None, None)
    refused = answered(begun(payment, void), void, NO)
    assert (refused.status, refused.capturable_minor, refused.closing_id) == (
        S.REQUIRES_CAPTURE,
        left,
        None,
    )
    assert refused.open_bucket is not None, "it has not expired yet"


# ------------------------------------------------------------ when the processor is asked again


spans = st.timedeltas(timedelta(0), timedelta(days=30))
leases = st.timedeltas(timedelta(seconds=2), timedelta(seconds=60))


@given(age=spans, lease=leases)
def test_the_processor_is_asked_again_after_half_of_the_age_within_bounds(
    age: timedelta, lease: timedelta
) -> None:
    wait = retry_delay(age, lease)
    assert lease <= wait <= max(lease, LONGEST_RETRY)
    if lease <= age / 2 <= LONGEST_RETRY:
        assert wait == age / 2


@given(ages=st.tuples(spans, spans), lease=leases)
def test_the_interval_of_queries_never_shrinks(
    ages: tuple[timedelta, timedelta], lease: timedelta
) -> None:
    younger, older = sorted(ages)
    assert retry_delay(younger, lease) <= retry_delay(older, lease)


def test_a_day_without_an_answer_costs_a_few_hundred_queries() -> None:
    age, asked = timedelta(seconds=60), 0
    while age < timedelta(days=1):
        age += retry_delay(age, timedelta(seconds=20))
        asked += 1
    assert 90 <= asked <= 110


def test_absence_is_final_only_when_the_request_cannot_arrive_any_more() -> None:
    begun_at = datetime(2026, 1, 1, tzinfo=UTC)
    longest = timedelta(seconds=75)
    assert not absence_is_final(begun_at, begun_at + longest - timedelta(milliseconds=1), longest)
    assert absence_is_final(begun_at, begun_at + longest, longest)


def test_a_void_refused_for_a_year_leaves_room_for_more() -> None:
    overdue, attempts = timedelta(), 0
    while overdue < timedelta(days=365):
        overdue += void_retry_delay(overdue)
        attempts += 1
    assert attempts < MAX_TRANSACTIONS / 4
    refused_in_a_year = MERCHANTS_VOIDS_BEFORE[S.REQUIRES_ACTION] + attempts
    assert refused_in_a_year <= PLATFORMS_VOIDS_BEFORE[S.REQUIRES_ACTION]


HOUR = timedelta(hours=1)
EXPIRED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("refused_after", "asked_after", "due"),
    [
        (None, timedelta(), True),
        (timedelta(seconds=-1), timedelta(), True),
        (timedelta(), timedelta(minutes=59), False),
        (timedelta(), HOUR, True),
        (6 * HOUR, 8 * HOUR, False),
        (6 * HOUR, 9 * HOUR, True),
    ],
)
def test_a_void_refused_after_the_end_delays_the_next_one(
    refused_after: timedelta | None, asked_after: timedelta, due: bool
) -> None:
    last = None
    if refused_after is not None:
        at = to_timestamp(EXPIRED_AT + refused_after)
        changes = {"status": TransactionStatus.FAILED, "processed_at": at}
        last = an_operation(T.VOID, 0).model_copy(update=changes)
    assert void_is_due(last, EXPIRED_AT, EXPIRED_AT + asked_after) is due


def test_a_void_without_an_answer_delays_nothing() -> None:
    assert void_is_due(an_operation(T.VOID, 0), EXPIRED_AT, EXPIRED_AT)
