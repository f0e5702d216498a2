"""What a processor's answer makes of a payment: row, transaction, booking, and our own answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from runtime.contract.answers import StoredAnswer, problem, success
from runtime.contract.payments import PaymentAnswer
from runtime.domain.buckets import bucket_for
from runtime.domain.ids import new_id
from runtime.domain.instants import to_instant
from runtime.domain.ledger import accounts_of, capture_legs
from runtime.domain.payments import Approved, ProcessorAnswer, Refused, may_become, status_after
from runtime.errors import Declined
from runtime.models.change import ChangeContext
from runtime.models.fields import Instant
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import Payment, PaymentStatus
from runtime.models.transaction import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from runtime.models.transfer import Transfer, TransferStatus

INSTANCE = "/v1/payments"
NOT_CHARGED = Refused(None, "processor_unreachable", "The processor never received the charge")
_CLOSED = {
    "open_bucket": None,
    "next_action_at": None,
    "lease_owner": None,
    "lease_expires_at": None,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that one commit must write after the processor has answered."""

    before: Payment
    after: Payment
    transaction: Transaction
    transfer: Transfer | None
    answer: StoredAnswer


def outcome_of(
    payment: Payment,
    reply: ProcessorAnswer,
    merchant: MerchantProfile,
    now: datetime,
    *,
    request_id: str,
) -> Outcome:
    """The outcome of `payment`, which is processing or unknown, known at `now`.

    `request_id` is the client's request, whoever finishes it: the stored answer names it.
    """
    status = status_after(reply)
    assert may_become(payment.status, status), f"{payment.id}: {payment.status} to {status}"
    at = to_instant(now)
    transaction = _transaction(payment, reply, merchant, now)
    changes: dict[str, object] = {
        **_CLOSED,
        **_listed(payment, merchant, status),
        "status": status,
        "version": payment.version + 1,
        "updated_at": at,
        "cause": transaction.id,
        "transaction_ids": (*payment.transaction_ids, transaction.id),
    }
    if isinstance(reply, Approved):
        taken = payment.amount
        changes |= {"amount_captured": taken, "refundable_minor": taken, "fee": reply.fee_minor}
    else:
        changes |= {"failure_code": reply.decline_code, "failure_reason": reply.response_text}
    after = payment.model_copy(update=changes)
    transfer = (
        _booking(payment, reply.fee_minor, merchant, now) if isinstance(reply, Approved) else None
    )
    return Outcome(payment, after, transaction, transfer, answer_of(after, request_id))


def without_answer(payment: Payment, merchant: MerchantProfile, now: datetime) -> Payment:
    """The payment after the processor's answer was lost; the resolver may take it at once."""
    status = PaymentStatus.UNKNOWN
    return payment.model_copy(
        update={
            **_listed(payment, merchant, status),
            "status": status,
            "version": payment.version + 1,
            "updated_at": to_instant(now),
            "cause": new_id("unk", now),
            "next_action_at": to_instant(now),
            "lease_owner": None,
        }
    )


def answer_of(payment: Payment, request_id: str) -> StoredAnswer:
    """What the payment's POST (the request `request_id`) answers, by where it stands."""
    if payment.status is PaymentStatus.FAILED:
        declined = Declined(
            f"{payment.failure_reason} ({payment.failure_code})",
            decline_code=payment.failure_code or "",
            payment_id=payment.id,
        )
        return problem(declined, instance=INSTANCE, request_id=request_id)
    settled = payment.status not in (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN)
    status = HTTPStatus.CREATED if settled else HTTPStatus.ACCEPTED
    return success(status, PaymentAnswer.of(payment))


def status_bucket(merchant: MerchantProfile, payment_id: str, status: PaymentStatus) -> str | None:
    """Key in `gsi-merchant-status`, which lists every status but succeeded."""
    if status is PaymentStatus.SUCCEEDED:
        return None
    return bucket_for(f"{merchant.id}#{status}", payment_id, merchant.index_buckets)


def _listed(
    payment: Payment, merchant: MerchantProfile, status: PaymentStatus
) -> dict[str, str | None]:
    return {
        "merchant_bucket": payment.merchant_bucket
        or bucket_for(merchant.id, payment.id, merchant.index_buckets),
        "merchant_status_bucket": status_bucket(merchant, payment.id, status),
    }


def _context(payment: Payment) -> ChangeContext:
    return ChangeContext(
        changed_by=payment.changed_by,
        request_id=payment.request_id,
        cause=payment.id,
        ip_address=payment.ip_address,
        user_agent=payment.user_agent,
    )


def _transaction(
    payment: Payment, reply: ProcessorAnswer, merchant: MerchantProfile, now: datetime
) -> Transaction:
    at: Instant = to_instant(now)
    approved = isinstance(reply, Approved)
    transaction_id = new_id("txn", now)
    status = TransactionStatus.SUCCEEDED if approved else TransactionStatus.FAILED
    day = f"{merchant.id}#{at[:10]}"
    return Transaction(
        id=transaction_id,
        merchant_id=merchant.id,
        payment_id=payment.id,
        processor_id=reply.processor_id,
        unsettled_bucket=bucket_for(day, transaction_id, merchant.index_buckets)
        if approved
        else None,
        type=TransactionType.CAPTURE,
        amount=payment.amount,
        currency=payment.currency,
        status=status,
        fee=reply.fee_minor if isinstance(reply, Approved) else 0,
        response_code=reply.response_code if isinstance(reply, Approved) else reply.decline_code,
        response_text=reply.response_text,
        processed_at=at,
        audit_trail=(AuditStep(status=status, at=at, by=payment.changed_by),),
        created_at=at,
        updated_at=at,
        **_context(payment).stamp(),
    )


def _booking(
    payment: Payment, fee_minor: int, merchant: MerchantProfile, now: datetime
) -> Transfer:
    at = to_instant(now)
    transfer_id = new_id("trf", now)
    legs = capture_legs(merchant.id, payment.currency, payment.amount, fee_minor)
    return Transfer(
        id=transfer_id,
        merchant_id=merchant.id,
        merchant_bucket=bucket_for(merchant.id, transfer_id, merchant.index_buckets),
        operation_id=transfer_id,
        folded_accounts=accounts_of(legs),
        legs=legs,
        amount=payment.amount,
        currency=payment.currency,
        status=TransferStatus.PROCESSED,
        posted_amount=payment.amount,
        processed_at=at,
        payment_id=payment.id,
        created_at=at,
        updated_at=at,
        **_context(payment).stamp(),
    )
