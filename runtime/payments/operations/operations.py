"""Capture, cancel and refund a payment: operations that its processor executes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.errors import (
    AlreadyClaimed,
    AmountTooLarge,
    InactiveMerchant,
    InvalidState,
    InvalidValue,
    ProcessorUnknown,
    StaleWrite,
    Unavailable,
)
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.index_shards import bucket_for, operation_open_bucket
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import new_claim
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import MerchantProfile, MerchantStatus
from runtime.payments.answers import charge_answer, current_operation_answer, operation_answer
from runtime.payments.api import CaptureRequest, RefundRequest
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.outcome import operation_outcome, replaced
from runtime.payments.operations.rules import ceiling_of, refusal_of
from runtime.payments.processors.configuration import require_mode
from runtime.payments.processors.port import OperationRequest, Processor
from runtime.payments.repository import OperationRefused
from runtime.payments.rules import ProcessorAnswer
from runtime.payments.transaction_models import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from runtime.payments.two_phase import (
    Answered,
    begin_once,
    commit_outcome,
    log_declined,
    log_lost_answer,
    open_claim,
)

ACTION_EXPIRED: Final = "the customer did not authenticate in time"
"""The reason of a void of a charge that waited for its customer for too long."""
MAX_ATTEMPTS: Final = 100
"""Attempts to write one operation under concurrent writes: the most operations of a payment."""


@dataclass(frozen=True, slots=True)
class OperationIntent:
    """The requested operation. `amount` in minor units; None: the full remaining amount."""

    kind: TransactionType
    amount: int | None = None
    final: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OperationStart:
    """When and by whom an operation is begun, and the lease of its owner.

    `merchant_bucket`: its shard of the merchant's list. `open_bucket`: its shard of the open queue.
    """

    at: datetime
    lease: timedelta
    owner: str
    context: ChangeContext
    merchant_bucket: str
    open_bucket: str
    claim_key: str | None = None


def capture_payment(
    payment_id: str, request: CaptureRequest, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    """Capture an authorization in full or in part: 200, 402 if declined, 202 while unknown.

    Raises NotFound, InvalidState, InvalidValue, and what `begin_once` raises.
    """
    intent = OperationIntent(TransactionType.CAPTURE, request.amount, request.final)
    return _operate(payment_id, intent, call, deps)


def cancel_payment(payment_id: str, call: Call, deps: PaymentDependencies) -> StoredAnswer:
    """Void an authorization, or a charge that waits for its customer: 200, 202 while unknown.

    402 if the processor refuses, such as for a charge that the customer has just approved. Raises
    NotFound, InvalidState.
    """
    return _operate(payment_id, OperationIntent(TransactionType.VOID), call, deps)


def refund_payment(
    payment_id: str, request: RefundRequest, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    """Refund a payment in full or in part: 200, 402 refund_failed, 202 while unknown.

    Raises NotFound, InvalidState, and what `begin_once` raises.
    """
    intent = OperationIntent(TransactionType.REFUND, request.amount, reason=request.reason)
    return _operate(payment_id, intent, call, deps)


@dataclass(frozen=True, slots=True)
class _Begun:
    """An operation after the first commit, and the payment that it was begun on."""

    operation: Transaction
    payment: Payment
    connector: Processor


def _operate(
    payment_id: str, intent: OperationIntent, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    payment = require_found(deps.payments.get(payment_id, call.scope), "payment", payment_id)
    merchant = deps.merchants.require(payment.merchant_id)
    attempt, operation_id = call.new_id("att"), call.new_id("txn")
    claim = new_claim(call, merchant.id, owner=attempt, index_buckets=merchant.index_buckets)
    assert claim is not None, "the route requires an idempotency key"
    claim = claim.model_copy(update={"resource_id": operation_id})

    begun = begin_once(
        lambda: _begin(intent, payment, claim, merchant, call, deps), claim, call, deps
    )
    if isinstance(begun, StoredAnswer):
        return begun
    request_id = call.caller.request_id
    try:
        reply = begun.connector.operate(operation_request(begun.operation, begun.payment))
    except ProcessorUnknown as lost:
        _hand_over(begun.operation, lost, deps)
        return current_operation_answer(operation_id, merchant.id, request_id, deps)
    try:
        return settle_operation(begun.operation, reply, claim, deps, request_id=claim.request_id)
    except StaleWrite:
        return current_operation_answer(operation_id, merchant.id, request_id, deps)


def _begin(
    intent: OperationIntent,
    payment: Payment,
    claim: IdempotencyRecord,
    merchant: MerchantProfile,
    call: Call,
    deps: PaymentDependencies,
) -> _Begun:
    """First commit: the claim, the pending transaction and the payment's ceilings.

    If a condition fails, the payment has changed: the operation is refused in its current state,
    or tried again if "the full remaining amount" has become another amount.
    """
    # Before the commit, so that an invalid merchant configuration leaves no intent behind.
    connector = deps.connectors.of_payment(payment)
    _require_allowed(intent, payment, merchant, connector, deps)
    for _ in range(MAX_ATTEMPTS):
        operation = _draft(intent, payment, claim, merchant, call, deps)
        try:
            deps.payments.begin_operation(operation, claim, call.now, token=call.new_id("opn"))
        except OperationRefused as refused:
            payment = refused.payment
        except AlreadyClaimed as earlier:
            if earlier.record.owner != claim.owner:
                raise
            # Of this loop's commits one was done late. Its amount may be another than this one's.
            return _Begun(_as_committed(operation, deps), payment, connector)
        else:
            return _Begun(operation, payment, connector)
    raise Unavailable(f"{payment.id} is being changed by other requests; try again")


def _as_committed(operation: Transaction, deps: PaymentDependencies) -> Transaction:
    """The operation as an earlier commit of this request has recorded it."""
    found = deps.payments.transaction(operation.id, Scope(operation.merchant_id))
    assert found is not None, f"{operation.id} was committed with its claim"
    return found


def _draft(
    intent: OperationIntent,
    payment: Payment,
    claim: IdempotencyRecord,
    merchant: MerchantProfile,
    call: Call,
    deps: PaymentDependencies,
) -> Transaction:
    """The pending transaction, if the payment's state allows it. Raises the refusal."""
    operation_id = claim.resource_id
    assert operation_id is not None, f"{claim.key} names no operation"
    amount = ceiling_of(payment, intent.kind) if intent.amount is None else intent.amount
    refusal = refusal_of(payment, intent.kind, amount, final=intent.final)
    if isinstance(refusal, AmountTooLarge) and intent.amount is None:
        refusal = InvalidState(refusal.detail)
    if refusal is not None:
        raise refusal
    start = OperationStart(
        at=call.now,
        lease=deps.intent_lease,
        owner=claim.owner,
        context=call.caller.change(cause=operation_id),
        merchant_bucket=operation_bucket(operation_id, merchant),
        open_bucket=operation_open_bucket(operation_id),
        claim_key=claim.key,
    )
    return pending_operation(operation_id, intent, amount, payment, start)


def _require_allowed(
    intent: OperationIntent,
    payment: Payment,
    merchant: MerchantProfile,
    connector: Processor,
    deps: PaymentDependencies,
) -> None:
    """Refuse captures of inactive merchants, of the other mode, or in parts if not supported.

    Refunds and voids are always allowed.
    """
    if intent.kind is not TransactionType.CAPTURE:
        return
    if merchant.status is not MerchantStatus.ACTIVE:
        raise InactiveMerchant(f"Merchant {merchant.id} is {merchant.status}")
    require_mode(payment.processor, connector, deps.timing.processors)
    if not intent.final and not connector.captures_in_parts:
        raise InvalidValue(
            f"{payment.processor} can capture an authorization only once; leave out final",
            param="final",
        )


def _hand_over(operation: Transaction, lost: ProcessorUnknown, deps: PaymentDependencies) -> None:
    """Leave the operation pending, without a lease, so that the resolver can take it now."""
    log_lost_answer(operation, lost)
    moment = deps.outside.now()
    now = to_timestamp(moment)
    cause = deps.outside.new_id("unk", moment)
    changes = {"lease_owner": None, "next_action_at": now, "cause": cause}
    unowned = operation.next_version(now, changes)
    # Stale: the resolver has already taken it.
    with contextlib.suppress(StaleWrite):
        deps.payments.advance_operation(operation, unowned, token=unowned.cause)


def _charge_answer(
    before: Payment, after: Payment, request_id: str, deps: PaymentDependencies
) -> list[Answered]:
    """The final answer of the request that created a payment which no longer waits."""
    if before.status is not PaymentStatus.REQUIRES_ACTION or after.status is before.status:
        return []
    claim = open_claim(before.claim_key, before.id, deps)
    return [(claim, charge_answer(after, request_id))]


def operation_bucket(operation_id: str, merchant: MerchantProfile) -> str:
    """The shard of a capture, refund or void in its merchant's list."""
    return bucket_for(merchant.id, operation_id, merchant.index_buckets)


def pending_operation(
    operation_id: str, intent: OperationIntent, amount: int, payment: Payment, start: OperationStart
) -> Transaction:
    """The pending transaction of an operation, before the processor is called."""
    now, lease_end = to_timestamp(start.at), to_timestamp(start.at + start.lease)
    status = TransactionStatus.PENDING
    return Transaction(
        id=operation_id,
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        merchant_bucket=start.merchant_bucket,
        open_bucket=start.open_bucket,
        next_action_at=lease_end,
        type=intent.kind,
        amount=amount,
        currency=payment.currency,
        status=status,
        reason=intent.reason,
        final=intent.final if intent.kind is TransactionType.CAPTURE else None,
        claim_key=start.claim_key,
        lease_owner=start.owner,
        lease_expires_at=lease_end,
        audit_trail=(AuditStep(status=status, at=now, by=start.context.changed_by),),
        created_at=now,
        updated_at=now,
        **start.context.stamp(),
    )


def operation_request(operation: Transaction, payment: Payment) -> OperationRequest:
    """The processor request for this operation, always with the same reference."""
    assert payment.charge_id is not None, f"{payment.id} was never charged"
    return OperationRequest(
        kind=operation.type,
        reference=operation.id,
        charge_reference=payment.id,
        charge_id=payment.charge_id,
        amount_minor=operation.amount,
        currency=operation.currency,
        at=to_datetime(operation.created_at),
        final=operation.final is not False,
        abandoned=operation.reason == ACTION_EXPIRED,
    )


def settle_operation(
    operation: Transaction,
    reply: ProcessorAnswer,
    claim: IdempotencyRecord | None,
    deps: PaymentDependencies,
    *,
    request_id: str,
) -> StoredAnswer:
    """Second commit of an operation, on the payment's current state.

    Raises StaleWrite if another process has taken the operation, Unavailable.
    """
    owner = Scope(operation.merchant_id)
    merchant = deps.merchants.require(operation.merchant_id)
    for _ in range(MAX_ATTEMPTS):
        payment = deps.payments.get(operation.payment_id, owner)
        assert payment is not None, f"{operation.payment_id} has {operation.id}"
        transactions = deps.payments.transactions_of(payment)
        if {each.id: each.version for each in transactions}.get(operation.id) != operation.version:
            raise StaleWrite("transactions", f"{operation.id} was changed meanwhile")
        now = deps.outside.now()
        outcome = operation_outcome(payment, operation, reply, merchant, now, deps.outside)
        known = replaced(transactions, outcome.operation)
        answer = operation_answer(outcome.payment, known, outcome.operation, request_id)
        token = deps.outside.new_id("out", now)
        answers = [(claim, answer), *_charge_answer(payment, outcome.payment, request_id, deps)]
        try:
            commit_outcome(outcome.writes, *answers, token=token, deps=deps)
        except StaleWrite as stale:
            if stale.table == "transactions":
                raise
            continue
        log_declined(operation, reply, request_id)
        return answer
    raise Unavailable(f"{operation.payment_id} is being changed by other requests; try again")
