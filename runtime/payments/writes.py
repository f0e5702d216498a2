"""DynamoDB expressions for payments and transactions, one per rule."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.customers.lockout_repository import Attempt
from runtime.customers.models import Customer
from runtime.customers.repository import customer_of, unlocked, without_failures
from runtime.dynamodb.expressions import (
    Check,
    Update,
    Write,
    absent,
    all_of,
    any_of,
    at_least,
    change,
    check,
    equals,
    one_of,
    put,
    shorter,
    update,
)
from runtime.ledger.booking import booked
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import (
    MAX_TRANSACTIONS_BEFORE,
    REFUNDABLE_STATUSES,
    voids_before,
)
from runtime.payments.rules import sources_of
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType


@dataclass(frozen=True, slots=True)
class OutcomeWrites:
    """The changes of a processor's answer. `transaction_before`: None for a new transaction.

    `attempt`: the result to count for the customer's lockout, if any.
    """

    before: Payment
    after: Payment
    transaction_before: Transaction | None
    transaction: Transaction
    transfer: Transfer | None
    attempt: Attempt | None = None

    def rendered(self) -> list[Write]:
        """The payment, the transaction, and the posting with its debits, in this order."""
        writes: list[Write] = [payment_step(self.before, self.after)]
        if self.transaction_before is None:
            writes.append(put(self.transaction).when(absent("id")))
        else:
            writes.append(operation_step(self.transaction_before, self.transaction))
        if self.transfer is not None:
            writes += booked(self.transfer)
        return writes


@dataclass(frozen=True, slots=True)
class EventWrites:
    """The changes of a processor event. `transaction`: before and after, if it changes."""

    before: Payment
    after: Payment
    transaction: tuple[Transaction, Transaction] | None = None
    transfer: Transfer | None = None


def customer_check(payment: Payment, customer_id: str) -> Check:
    """Check that the customer may pay. A customer without failures needs no later write."""
    may = (*customer_of(payment.merchant_id), unlocked(payment.created_at))
    if not payment.follows_failure:
        may = (*may, without_failures())
    return check(Customer, {"id": customer_id}, *may)


def payment_step(before: Payment, after: Payment) -> Update:
    """Update the payment, if its version and lease are those that were read."""
    conditions = [equals("version", before.version)]
    if after.status is not before.status:
        conditions.append(one_of("status", sources_of(after.status)))
    if before.lease_owner is not None:
        conditions.append(equals("lease_owner", before.lease_owner))
    return change(before, after).when(*conditions)


def operation_step(before: Transaction, after: Transaction) -> Update:
    """Update a pending operation, if its version and lease are those that were read."""
    conditions = [equals("version", before.version), equals("status", TransactionStatus.PENDING)]
    if before.lease_owner is not None:
        conditions.append(equals("lease_owner", before.lease_owner))
    return change(before, after).when(*conditions)


def begin_on_payment(operation: Transaction) -> Update:
    """Move the operation's amount from the payment's ceiling to its pending amount.

    A void or final capture excludes all other captures and voids until it is answered.
    """
    amount = operation.amount
    step = (
        update(Payment, {"id": operation.payment_id})
        .append(transaction_ids=operation.id)
        .add(version=1)
        .assign(
            updated_at=operation.updated_at,
            changed_by=operation.changed_by,
            request_id=operation.request_id,
            cause=operation.id,
            ip_address=operation.ip_address,
            user_agent=operation.user_agent,
        )
    )
    owned = equals("merchant_id", operation.merchant_id)
    if operation.type is TransactionType.REFUND:
        return step.count(refundable_minor=-amount, pending_refund_minor=amount).when(
            owned,
            shorter("transaction_ids", MAX_TRANSACTIONS_BEFORE[TransactionType.REFUND]),
            one_of("status", REFUNDABLE_STATUSES),
            at_least("refundable_minor", amount),
        )
    not_closing = (
        owned,
        absent("closing_id"),
    )
    alone = any_of(absent("pending_capture_minor"), equals("pending_capture_minor", 0))
    if operation.type is TransactionType.VOID:
        # Only the platform's own voids have no claim.
        limits = voids_before(by_platform=operation.claim_key is None)
        voidable = any_of(
            *(
                all_of(equals("status", status), shorter("transaction_ids", most))
                for status, most in limits.items()
            )
        )
        rest = equals("capturable_minor", amount)
        return step.assign(closing_id=operation.id).when(*not_closing, voidable, alone, rest)
    authorized = all_of(
        equals("status", PaymentStatus.REQUIRES_CAPTURE),
        shorter("transaction_ids", MAX_TRANSACTIONS_BEFORE[TransactionType.CAPTURE]),
    )
    capture = step.add(capturable_minor=-amount).count(pending_capture_minor=amount)
    enough = at_least("capturable_minor", amount)
    if operation.final:
        return capture.assign(closing_id=operation.id).when(*not_closing, authorized, alone, enough)
    return capture.when(*not_closing, authorized, enough)
