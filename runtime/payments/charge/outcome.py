"""Apply a processor's answer to a charge: payment, transaction and posting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp
from runtime.customers.lockout_repository import Attempt
from runtime.customers.lockout_rules import UNCOUNTED_DECLINES, Lockout
from runtime.dynamodb.index_shards import bucket_for, unsettled_buckets
from runtime.ledger.booking import FactPosting
from runtime.ledger.rules import capture_legs
from runtime.merchants.models import MerchantProfile
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.posting_ids import POSTING_OPERATION, charge_transaction_id, posting_id
from runtime.payments.rules import (
    ActionRequired,
    Approved,
    ProcessorAnswer,
    Refused,
    may_become,
    status_after,
)
from runtime.payments.transaction_models import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from runtime.payments.writes import OutcomeWrites

NOT_CHARGED = Refused(None, "processor_unreachable", "The processor never received the charge")
FIRST_QUESTION: Final = timedelta(minutes=1)
"""When the processor is first asked whether the customer has acted, if it does not notify us."""
_NOT_LEASED = {"lease_owner": None, "lease_expires_at": None}
_CLOSED = {"open_bucket": None, "next_action_at": None, "action_expires_at": None}


@dataclass(frozen=True, slots=True)
class ChargeOutcome:
    """A payment after the processor's answer, and the writes of the commit."""

    after: Payment
    writes: OutcomeWrites


def outcome_of(
    payment: Payment,
    reply: ProcessorAnswer,
    merchant: MerchantProfile,
    now: datetime,
    deps: PaymentDependencies,
    context: ChangeContext | None = None,
) -> ChargeOutcome:
    """The outcome of `payment`, whose charge had none yet, at `now`.

    An authorization can be captured until it expires; then the resolver voids it. `context`: who
    asked the processor, if not the user who last changed the payment.
    """
    context = context or context_of(payment)
    captures = payment.capture_method == "automatic"
    waited = payment.status is PaymentStatus.REQUIRES_ACTION
    status = status_after(reply, captures=captures, waited=waited)
    assert may_become(payment.status, status), f"{payment.id}: {payment.status} to {status}"
    transaction = _transaction(payment, reply, merchant, now, context)
    changes: dict[str, object] = {
        **context.stamp(),
        **_NOT_LEASED,
        **_CLOSED,
        **list_keys(payment, merchant, status),
        "status": status,
        "version": payment.version + 1,
        "updated_at": to_timestamp(now),
        "cause": transaction.id,
        "transaction_ids": (*payment.transaction_ids, transaction.id),
    }
    transfer = None
    if status is PaymentStatus.FAILED:
        assert isinstance(reply, Refused), f"{payment.id}: {reply} is not a refusal"
        changes |= {"failure_code": reply.decline_code, "failure_reason": reply.response_text}
    elif isinstance(reply, Approved) and captures:
        taken = payment.amount
        legs = capture_legs(merchant.id, payment.currency, taken, reply.fee_minor)
        operation_id = deps.outside.new_id(POSTING_OPERATION, now)
        posting = FactPosting(
            posting_id(transaction.id), operation_id, payment.currency, legs, taken, payment.id
        )
        transfer = posting.transfer(merchant, now, replace(context, cause=payment.id))
        changes |= {"amount_captured": taken, "refundable_minor": taken, "fee": reply.fee_minor}
    elif isinstance(reply, Approved):
        expiry = to_timestamp(now + timedelta(seconds=deps.timing.authorization_seconds))
        changes |= {
            "capturable_minor": payment.amount,
            "open_bucket": payment.open_bucket,
            "next_action_at": expiry,
            "authorization_expires_at": expiry,
        }
    if isinstance(reply, Approved):
        changes["charge_id"] = reply.processor_id
    after = payment.model_copy(update=changes)
    writes = OutcomeWrites(payment, after, None, transaction, transfer)
    return ChargeOutcome(after, writes)


def unknown_payment(
    payment: Payment, merchant: MerchantProfile, now: datetime, cause: str
) -> Payment:
    """The payment after the processor's answer was lost. The resolver can take it immediately."""
    status = PaymentStatus.UNKNOWN
    changes = {
        **list_keys(payment, merchant, status),
        "status": status,
        "cause": cause,
        "next_action_at": to_timestamp(now),
        "lease_owner": None,
    }
    return payment.next_version(to_timestamp(now), changes)


def waiting_payment(
    payment: Payment,
    required: ActionRequired,
    merchant: MerchantProfile,
    now: datetime,
    cause: str,
    expiry: timedelta,
) -> Payment:
    """The payment while it waits for its customer, who has until `expiry` from now.

    The processor is asked again at times. The secrets in `required` are not part of the row.
    """
    status = PaymentStatus.REQUIRES_ACTION
    changes = {
        **list_keys(payment, merchant, status),
        **_NOT_LEASED,
        "status": status,
        "cause": cause,
        "charge_id": required.processor_id,
        "action_expires_at": to_timestamp(now + expiry),
        "next_action_at": to_timestamp(now + min(FIRST_QUESTION, expiry)),
    }
    return payment.next_version(to_timestamp(now), changes)


def _status_bucket(merchant: MerchantProfile, payment_id: str, status: PaymentStatus) -> str | None:
    """The key in `gsi-merchant-status`.

    It lists every status except succeeded, which `gsi-merchant` lists, and processing, which
    `gsi-open` does.
    """
    if status is PaymentStatus.SUCCEEDED:
        return None
    assert status is not PaymentStatus.PROCESSING, "only an intent is in processing"
    return bucket_for(f"{merchant.id}#{status}", payment_id, merchant.index_buckets)


def list_keys(
    payment: Payment, merchant: MerchantProfile, status: PaymentStatus
) -> dict[str, str | None]:
    """The payment's keys in the merchant's lists when it has `status`."""
    return {
        "merchant_bucket": payment.merchant_bucket
        or bucket_for(merchant.id, payment.id, merchant.index_buckets),
        "merchant_status_bucket": _status_bucket(merchant, payment.id, status),
    }


def context_of(row: Payment | Transaction, cause: str | None = None) -> ChangeContext:
    """The change context for writes caused by `row`, with the user who last changed it."""
    return ChangeContext(
        changed_by=row.changed_by,
        request_id=row.request_id,
        cause=cause or row.id,
        ip_address=row.ip_address,
        user_agent=row.user_agent,
    )


def unsettled_bucket(transaction_id: str, merchant: MerchantProfile, now: datetime) -> str:
    """The key in `gsi-unsettled`, which lists captures and refunds that are not settled yet."""
    day = f"{merchant.id}#{to_timestamp(now)[:10]}"
    return bucket_for(day, transaction_id, unsettled_buckets(merchant.index_buckets))


def _transaction(
    payment: Payment,
    reply: ProcessorAnswer,
    merchant: MerchantProfile,
    now: datetime,
    context: ChangeContext,
) -> Transaction:
    at: Timestamp = to_timestamp(now)
    approved = isinstance(reply, Approved)
    captures = payment.capture_method == "automatic"
    transaction_id = charge_transaction_id(payment.id)
    status = TransactionStatus.SUCCEEDED if approved else TransactionStatus.FAILED
    return Transaction(
        id=transaction_id,
        merchant_id=merchant.id,
        payment_id=payment.id,
        processor_id=reply.processor_id,
        unsettled_bucket=unsettled_bucket(transaction_id, merchant, now)
        if approved and captures
        else None,
        type=TransactionType.CAPTURE if captures else TransactionType.AUTHORIZATION,
        amount=payment.amount,
        currency=payment.currency,
        status=status,
        fee=reply.fee_minor if isinstance(reply, Approved) and captures else 0,
        response_code=response_code_of(reply),
        response_text=reply.response_text,
        processed_at=at,
        audit_trail=(AuditStep(status=status, at=at, by=context.changed_by),),
        created_at=at,
        updated_at=at,
        **replace(context, cause=payment.id).stamp(),
    )


def response_code_of(reply: ProcessorAnswer) -> str:
    """The response code to store for an answer."""
    return reply.response_code if isinstance(reply, Approved) else reply.decline_code


def lockout_attempt(
    payment: Payment, reply: ProcessorAnswer, cause: str, rule: Lockout, now: datetime
) -> Attempt | None:
    """The attempt to count for the customer's lockout, if any.

    A success counts only if it resets earlier failures.
    """
    failed = isinstance(reply, Refused)
    if isinstance(reply, Refused) and reply.decline_code in UNCOUNTED_DECLINES:
        return None
    if payment.customer_id is None or not (failed or payment.follows_failure):
        return None
    return Attempt(
        customer_id=payment.customer_id,
        merchant_id=payment.merchant_id,
        failed=failed,
        rule=rule,
        context=context_of(payment, cause),
        now=now,
    )
