"""Apply a processor's answer to a capture, refund or void: transaction, payment and posting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runtime.core.outside import Outside
from runtime.core.timestamps import to_timestamp
from runtime.ledger.booking import FactPosting
from runtime.ledger.rules import capture_legs, refund_legs
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import MerchantProfile
from runtime.payments.charge.outcome import (
    context_of,
    list_keys,
    response_code_of,
    unsettled_bucket,
)
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import changes_after
from runtime.payments.posting_ids import POSTING_OPERATION, posting_id
from runtime.payments.rules import Approved, ProcessorAnswer, may_become
from runtime.payments.transaction_models import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from runtime.payments.writes import OutcomeWrites

ANSWERED = {
    "open_bucket": None,
    "next_action_at": None,
    "lease_owner": None,
    "lease_expires_at": None,
}


@dataclass(frozen=True, slots=True)
class OperationOutcome:
    """Payment and operation after the answer, and the writes of the commit."""

    payment: Payment
    operation: Transaction
    writes: OutcomeWrites


def operation_outcome(
    payment: Payment,
    operation: Transaction,
    reply: ProcessorAnswer,
    merchant: MerchantProfile,
    now: datetime,
    outside: Outside,
) -> OperationOutcome:
    """The outcome of the pending `operation` on `payment`, which were both just read."""
    answered = answered_operation(operation, reply, merchant, now, outside.new_id("out", now))
    changes = changes_after(payment, operation, reply)
    status = PaymentStatus(changes.get("status", payment.status))
    assert may_become(payment.status, status), f"{payment.id}: {payment.status} to {status}"
    if status is not payment.status:
        changes |= list_keys(payment, merchant, status)
    elif status is PaymentStatus.REQUIRES_ACTION:
        # Its cancellation was refused, probably because the customer has just approved: ask now.
        changes |= {"next_action_at": to_timestamp(now)}
    after = changed_payment(payment, changes, answered, now)
    transfer = _booking(payment, operation, reply, merchant, now, outside)
    writes = OutcomeWrites(payment, after, operation, answered, transfer)
    return OperationOutcome(after, answered, writes)


def answered_operation(
    operation: Transaction,
    reply: ProcessorAnswer,
    merchant: MerchantProfile,
    now: datetime,
    cause: str,
) -> Transaction:
    """The operation with the processor's answer."""
    at = to_timestamp(now)
    approved = isinstance(reply, Approved)
    status = TransactionStatus.SUCCEEDED if approved else TransactionStatus.FAILED
    captured = approved and operation.type is TransactionType.CAPTURE
    reported = approved and operation.type is not TransactionType.VOID
    step = AuditStep(status=status, at=at, by=operation.changed_by)
    changes = {
        **ANSWERED,
        "status": status,
        "processor_id": reply.processor_id,
        "unsettled_bucket": unsettled_bucket(operation.id, merchant, now) if reported else None,
        "fee": reply.fee_minor if isinstance(reply, Approved) and captured else 0,
        "response_code": response_code_of(reply),
        "response_text": reply.response_text,
        "processed_at": at,
        "audit_trail": (*operation.audit_trail, step),
        "cause": cause,
    }
    return operation.next_version(at, changes)


def changed_payment(
    payment: Payment, changes: dict[str, object], operation: Transaction, now: datetime
) -> Payment:
    """The next version of the payment, changed by `operation`."""
    context = context_of(operation, operation.cause)
    return payment.next_version(to_timestamp(now), changes, context)


def replaced(transactions: Sequence[Transaction], one: Transaction) -> list[Transaction]:
    """The transactions, with `one` in place of its earlier version."""
    return [one if each.id == one.id else each for each in transactions]


def _booking(
    payment: Payment,
    operation: Transaction,
    reply: ProcessorAnswer,
    merchant: MerchantProfile,
    now: datetime,
    outside: Outside,
) -> Transfer | None:
    """The posting of an approved capture or refund. A void moves no money."""
    if not isinstance(reply, Approved) or operation.type is TransactionType.VOID:
        return None
    amount = operation.amount
    legs = (
        capture_legs(merchant.id, payment.currency, amount, reply.fee_minor)
        if operation.type is TransactionType.CAPTURE
        else refund_legs(merchant.id, payment.currency, amount)
    )
    operation_id = outside.new_id(POSTING_OPERATION, now)
    posting = FactPosting(
        posting_id(operation.id), operation_id, payment.currency, legs, amount, payment.id
    )
    return posting.transfer(merchant, now, context_of(operation, operation.id))
