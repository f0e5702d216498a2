"""Captures, refunds and voids: when they are allowed, and what their answers change. Pure.

The intent moves its amount from a ceiling (`capturable_minor`, `refundable_minor`) to what is
pending; the answer moves it on, or back. The conditions of the write (payments/repository.py) say
the same to DynamoDB; here the refusal is made from the row as it stood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from runtime.core.errors import AmountTooLarge, InvalidState, PlatformError
from runtime.payments.disputes.rules import refundable_again
from runtime.payments.models import MAX_TRANSACTIONS, Payment, PaymentStatus
from runtime.payments.rules import Approved, ProcessorAnswer
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType

REFUNDABLE_STATUSES: Final = (PaymentStatus.SUCCEEDED, PaymentStatus.REQUIRES_CAPTURE)
"""A refund works wherever something was captured and not yet given back."""
MOST_BEFORE: Final = {
    TransactionType.CAPTURE: MAX_TRANSACTIONS // 2,
    TransactionType.REFUND: MAX_TRANSACTIONS - 1,
    TransactionType.VOID: MAX_TRANSACTIONS,
}
"""A payment with so many transactions takes no more of a kind: captures leave room for refunds,
and both for the void of what has expired."""
LONGEST_RETRY: Final = timedelta(minutes=15)
EXPIRY_RETRY: Final = timedelta(hours=1)
"""After a processor refused to void an authorization that has expired, ask again so much later."""

_NOUNS: Final = {
    TransactionType.CAPTURE: "captured",
    TransactionType.REFUND: "refunded",
    TransactionType.VOID: "canceled",
}


def ceiling_of(payment: Payment, kind: TransactionType) -> int:
    """The most that may be captured or refunded now; what a void would give back."""
    if kind is TransactionType.REFUND:
        return payment.refundable_minor
    return payment.capturable_minor


def refusal_of(
    payment: Payment, kind: TransactionType, amount: int, *, final: bool = True
) -> PlatformError | None:
    """Why the step is not allowed as the payment stands, or None. `amount` in minor units."""
    state = _state_refusal(payment, kind, final=final)
    if state is not None:
        return state
    if len(payment.transaction_ids) >= MOST_BEFORE[kind]:
        return InvalidState(
            f"{payment.id} has {len(payment.transaction_ids)} transactions; another {kind} is not "
            "possible"
        )
    ceiling = ceiling_of(payment, kind)
    if kind is TransactionType.VOID or 0 < amount <= ceiling:
        return None
    return AmountTooLarge(_above_ceiling(payment, kind, amount), param="amount")


def _above_ceiling(payment: Payment, kind: TransactionType, amount: int) -> str:
    """What to say of an amount that is more than can be captured or refunded."""
    ceiling = ceiling_of(payment, kind)
    refunded = kind is TransactionType.REFUND and payment.amount_refunded >= payment.amount_captured
    pending = payment.pending_refund_minor + payment.pending_capture_minor
    if ceiling == 0 and refunded and not pending:
        return f"{payment.id} has already been refunded in full"
    also = f"; {pending} are pending" if pending else ""
    if ceiling == 0:
        return f"Nothing of {payment.id} can still be {_NOUNS[kind]}{also}"
    if amount < 1:
        return "amount must be at least 1"
    return (
        f"Only {ceiling} of {payment.id} can still be {_NOUNS[kind]}; you asked for {amount}{also}"
    )


def _state_refusal(payment: Payment, kind: TransactionType, *, final: bool) -> PlatformError | None:
    if kind is TransactionType.REFUND:
        if payment.status not in REFUNDABLE_STATUSES:
            return _wrong_state(payment, kind)
        if payment.status is PaymentStatus.REQUIRES_CAPTURE and payment.amount_captured == 0:
            return InvalidState(
                f"{payment.id} is {payment.status}: nothing was captured yet; cancel it instead"
            )
        return None
    if payment.status is not PaymentStatus.REQUIRES_CAPTURE:
        return _wrong_state(payment, kind)
    if payment.closing_id is not None:
        return InvalidState(
            f"{payment.id} is being captured in full or canceled; wait for the result"
        )
    if payment.pending_capture_minor and (kind is TransactionType.VOID or final):
        return InvalidState(
            f"{payment.id} has a pending capture of {payment.pending_capture_minor}; wait for the "
            "result"
        )
    return None


def _wrong_state(payment: Payment, kind: TransactionType) -> InvalidState:
    return InvalidState(f"{payment.id} is {payment.status} and cannot be {_NOUNS[kind]}")


def changes_after(
    payment: Payment, operation: Transaction, answer: ProcessorAnswer
) -> dict[str, Any]:
    """The payment's own fields after the processor's answer to `operation`."""
    approved = isinstance(answer, Approved)
    if operation.type is TransactionType.REFUND:
        return _after_refund(payment, operation.amount, approved=approved)
    if operation.type is TransactionType.VOID:
        return _closed(payment) if approved else {"closing_id": None}
    assert operation.type is TransactionType.CAPTURE, f"{operation.id} is a {operation.type}"
    amount, pending = operation.amount, payment.pending_capture_minor - operation.amount
    assert pending >= 0, f"{payment.id} has no pending capture of {amount}"
    if not isinstance(answer, Approved):
        given_back: dict[str, Any] = {
            "pending_capture_minor": pending,
            "capturable_minor": payment.capturable_minor + amount,
        }
        return {**given_back, "closing_id": None} if operation.final else given_back
    captured: dict[str, Any] = {
        "pending_capture_minor": pending,
        "amount_captured": payment.amount_captured + amount,
        **refundable_again(payment, amount),
        "fee": payment.fee + answer.fee_minor,
    }
    in_full = payment.capturable_minor == 0 and pending == 0
    if operation.final or in_full:
        captured |= _closed(payment, captured_now=amount)
    return captured


def _after_refund(payment: Payment, amount: int, *, approved: bool) -> dict[str, Any]:
    pending = payment.pending_refund_minor - amount
    assert pending >= 0, f"{payment.id} has no pending refund of {amount}"
    if approved:
        refunded = payment.amount_refunded + amount
        return {"pending_refund_minor": pending, "amount_refunded": refunded}
    return {"pending_refund_minor": pending, **refundable_again(payment, amount)}


def _closed(payment: Payment, captured_now: int = 0) -> dict[str, Any]:
    """No more captures: succeeded where something was captured, else canceled."""
    captured = payment.amount_captured + captured_now
    status = PaymentStatus.SUCCEEDED if captured else PaymentStatus.CANCELED
    return {
        "status": status,
        "capturable_minor": 0,
        "closing_id": None,
        "open_bucket": None,
        "next_action_at": None,
    }


def after_failed_refund(payment: Payment, amount: int) -> dict[str, Any]:
    """The payment's fields after a refund that had succeeded came back from the customer's bank."""
    assert payment.amount_refunded >= amount, f"{payment.id} has not refunded {amount}"
    return {
        "amount_refunded": payment.amount_refunded - amount,
        **refundable_again(payment, amount),
    }


def fit_together(payment: Payment, transactions: Sequence[Transaction]) -> bool:
    """Whether a payment and all of its transactions, read apart, can be of one moment.

    Each commit that changes one of them changes the other: what is captured, refunded and pending
    is the sum of the transactions, and a void is pending while it keeps others out.
    """
    if len(transactions) != len(payment.transaction_ids):
        return False
    sums: Counter[tuple[TransactionType, bool]] = Counter()
    for each in transactions:
        pending = each.status is TransactionStatus.PENDING
        if each.type is TransactionType.VOID and pending != (payment.closing_id == each.id):
            return False
        if each.status is not TransactionStatus.FAILED:
            sums[each.type, pending] += each.amount
    return (
        sums[TransactionType.CAPTURE, False] == payment.amount_captured
        and sums[TransactionType.CAPTURE, True] == payment.pending_capture_minor
        and sums[TransactionType.REFUND, False] == payment.amount_refunded
        and sums[TransactionType.REFUND, True] == payment.pending_refund_minor
    )


def ask_again_after(age: timedelta, lease: timedelta) -> timedelta:
    """How long to wait before the processor is asked again: half of the age, within bounds.

    Not before the lease of who asks now has run out, and never longer than LONGEST_RETRY.
    """
    return max(lease, min(age / 2, LONGEST_RETRY))


def void_again_after(overdue: timedelta) -> timedelta:
    """How long to leave an authorization alone that has been expired for so long.

    Each refusal is a transaction of the payment, and it takes no more than MAX_TRANSACTIONS: the
    waits grow, so that they last for as long as anybody could mind.
    """
    return max(EXPIRY_RETRY, overdue / 2)


def absence_is_final(begun_at: datetime, now: datetime, longest: timedelta) -> bool:
    """Whether "not found" at the processor can no longer turn into something done.

    The request may be on its way until its lease, the processor's timeout and a margin (together
    `longest`) have passed since the intent.
    """
    return now >= begun_at + longest
