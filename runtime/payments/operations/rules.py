"""Captures, refunds and voids: when they are allowed, and what their answers change. Pure.

An intent moves its amount from a ceiling (`capturable_minor`, `refundable_minor`) to the pending
amount; the answer moves it on, or back. DynamoDB checks the same rules as conditions of the write
(payments/writes.py). Here they give the error, from the row that was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from runtime.core.errors import AmountTooLarge, InvalidState, PlatformError
from runtime.core.timestamps import to_datetime
from runtime.payments.disputes.rules import refundable_again
from runtime.payments.models import MAX_TRANSACTIONS, Payment, PaymentStatus
from runtime.payments.rules import Approved, ProcessorAnswer
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType

REFUNDABLE_STATUSES: Final = (PaymentStatus.SUCCEEDED, PaymentStatus.REQUIRES_CAPTURE)
"""The statuses in which a payment may have a captured amount to refund."""
VOIDABLE_STATUSES: Final = (PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.REQUIRES_ACTION)
"""The statuses in which a payment can be canceled: it is authorized, or waits for its customer."""
MAX_TRANSACTIONS_BEFORE: Final = {
    TransactionType.CAPTURE: MAX_TRANSACTIONS // 2,
    TransactionType.REFUND: MAX_TRANSACTIONS - 2,
}
"""The number of transactions at which a payment accepts no more captures or refunds. Captures leave
room for refunds, and both leave room for a merchant's void and one of the platform."""
MERCHANTS_VOIDS_BEFORE: Final = {
    PaymentStatus.REQUIRES_ACTION: MAX_TRANSACTIONS // 4,
    PaymentStatus.REQUIRES_CAPTURE: MAX_TRANSACTIONS - 1,
}
"""The number of transactions at which a merchant can no longer cancel, by the payment's status. A
refused void is a transaction, too: while the customer may still approve, voids leave room for the
charge and its captures and refunds; afterwards, for the void of the expired authorization."""
PLATFORMS_VOIDS_BEFORE: Final = {
    PaymentStatus.REQUIRES_ACTION: MAX_TRANSACTIONS // 2 - 2,
    PaymentStatus.REQUIRES_CAPTURE: MAX_TRANSACTIONS,
}
"""The same for the platform's own voids. Those of a charge that waits for its customer leave room
for the charge and one capture."""
LONGEST_RETRY: Final = timedelta(minutes=15)
EXPIRY_RETRY: Final = timedelta(hours=1)
"""The shortest delay before an expired charge is voided again after a refusal."""

_NOUNS: Final = {
    TransactionType.CAPTURE: "captured",
    TransactionType.REFUND: "refunded",
    TransactionType.VOID: "canceled",
}


def ceiling_of(payment: Payment, kind: TransactionType) -> int:
    """The most that can be captured or refunded now; for a void, the amount it releases."""
    if kind is TransactionType.REFUND:
        return payment.refundable_minor
    return payment.capturable_minor


def voids_before(*, by_platform: bool) -> dict[PaymentStatus, int]:
    """The number of transactions at which a payment accepts no more voids, by its status."""
    return PLATFORMS_VOIDS_BEFORE if by_platform else MERCHANTS_VOIDS_BEFORE


def refusal_of(
    payment: Payment,
    kind: TransactionType,
    amount: int,
    *,
    final: bool = True,
    by_platform: bool = False,
) -> PlatformError | None:
    """Why the operation is not allowed now, or None if it is. `amount` in minor units.

    `by_platform`: a void without a merchant's request, for which there is more room.
    """
    state = _state_refusal(payment, kind, final=final)
    if state is not None:
        return state
    most = (
        voids_before(by_platform=by_platform)[payment.status]
        if kind is TransactionType.VOID
        else MAX_TRANSACTIONS_BEFORE[kind]
    )
    if len(payment.transaction_ids) >= most:
        return InvalidState(
            f"{payment.id} has {len(payment.transaction_ids)} transactions; another {kind} is not "
            "possible"
        )
    ceiling = ceiling_of(payment, kind)
    if kind is TransactionType.VOID or 0 < amount <= ceiling:
        return None
    return AmountTooLarge(_above_ceiling(payment, kind, amount), param="amount")


def _above_ceiling(payment: Payment, kind: TransactionType, amount: int) -> str:
    """The error detail for an amount that cannot be captured or refunded."""
    ceiling = ceiling_of(payment, kind)
    refunded = kind is TransactionType.REFUND and payment.amount_refunded >= payment.amount_captured
    pending = payment.pending_refund_minor + payment.pending_capture_minor
    if ceiling == 0 and refunded and not pending:
        return f"{payment.id} has already been refunded in full"
    also = f"; {pending} are pending" if pending else ""
    if ceiling == 0:
        return f"{payment.id} has no amount left that can be {_NOUNS[kind]}{also}"
    if amount < 1:
        return "amount must be at least 1"
    return f"Only {ceiling} of {payment.id} can still be {_NOUNS[kind]}; requested {amount}{also}"


def _state_refusal(payment: Payment, kind: TransactionType, *, final: bool) -> PlatformError | None:
    if kind is TransactionType.REFUND:
        if payment.status not in REFUNDABLE_STATUSES:
            return _wrong_state(payment, kind)
        if payment.status is PaymentStatus.REQUIRES_CAPTURE and payment.amount_captured == 0:
            return InvalidState(
                f"{payment.id} is {payment.status}: nothing was captured yet; cancel it instead"
            )
        return None
    voidable = kind is TransactionType.VOID and payment.status in VOIDABLE_STATUSES
    if payment.status is not PaymentStatus.REQUIRES_CAPTURE and not voidable:
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
    """The payment fields that the processor's answer to `operation` changes."""
    approved = isinstance(answer, Approved)
    if operation.type is TransactionType.REFUND:
        return _after_refund(payment, operation.amount, approved=approved)
    if operation.type is TransactionType.VOID:
        return _closed(payment) if approved else {"closing_id": None}
    assert operation.type is TransactionType.CAPTURE, f"{operation.id} is a {operation.type}"
    amount, pending = operation.amount, payment.pending_capture_minor - operation.amount
    assert pending >= 0, f"{payment.id} has no pending capture of {amount}"
    if not isinstance(answer, Approved):
        released: dict[str, Any] = {
            "pending_capture_minor": pending,
            "capturable_minor": payment.capturable_minor + amount,
        }
        return {**released, "closing_id": None} if operation.final else released
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
    """Close the payment to captures: succeeded if it has a captured amount, else canceled."""
    captured = payment.amount_captured + captured_now
    status = PaymentStatus.SUCCEEDED if captured else PaymentStatus.CANCELED
    return {
        "status": status,
        "capturable_minor": 0,
        "closing_id": None,
        "open_bucket": None,
        "next_action_at": None,
        "action_expires_at": None,
    }


def after_failed_refund(payment: Payment, amount: int) -> dict[str, Any]:
    """The payment fields that change when the customer's bank returns a succeeded refund."""
    assert payment.amount_refunded >= amount, f"{payment.id} has not refunded {amount}"
    return {
        "amount_refunded": payment.amount_refunded - amount,
        **refundable_again(payment, amount),
    }


def are_consistent(payment: Payment, transactions: Sequence[Transaction]) -> bool:
    """Whether a payment and its transactions, which were read separately, are from one state.

    Each commit changes both. So the payment's captured, refunded and pending amounts are the sums
    of its transactions, and a pending void is the payment's `closing_id`.
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


def retry_delay(age: timedelta, lease: timedelta) -> timedelta:
    """The delay before the processor is asked again: half of the age, within bounds.

    At least the lease of the current attempt, and at most LONGEST_RETRY.
    """
    return max(lease, min(age / 2, LONGEST_RETRY))


def void_retry_delay(overdue: timedelta) -> timedelta:
    """The delay before a charge that expired `overdue` ago is voided again.

    Each refusal is one of the payment's MAX_TRANSACTIONS transactions, so the delays grow.
    """
    return max(EXPIRY_RETRY, overdue / 2)


def void_is_due(last: Transaction | None, expired_at: datetime, now: datetime) -> bool:
    """Whether a charge whose customer had time until `expired_at` is to be voided now.

    `last`: its newest void. If it was refused after the end, the next one waits.
    """
    if last is None or last.processed_at is None:
        return True
    refused_at = to_datetime(last.processed_at)
    return refused_at < expired_at or now >= refused_at + void_retry_delay(refused_at - expired_at)


def absence_is_final(begun_at: datetime, now: datetime, longest: timedelta) -> bool:
    """Whether a reference that the processor has not seen can no longer arrive there.

    The request may be in transit until its lease, the processor's timeout and a margin (together
    `longest`) have passed since the intent.
    """
    return now >= begun_at + longest
