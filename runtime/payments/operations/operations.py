"""Capturing, canceling and refunding: operations on a payment that its processor has to do."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.errors import (
    AmountTooLarge,
    InactiveMerchant,
    InvalidState,
    InvalidValue,
    StaleWrite,
    Unavailable,
)
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.index_shards import bucket_for
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import new_claim
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import MerchantProfile, MerchantStatus
from runtime.payments.answers import current_operation_answer, operation_answer
from runtime.payments.api import CaptureRequest, RefundRequest
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment
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
from runtime.payments.two_phase import commit_outcome, run_once

MAX_ATTEMPTS: Final = 100
"""Attempts to write one step on a payment that others change meanwhile: as many as it may have."""


@dataclass(frozen=True, slots=True)
class OperationIntent:
    """What a request asks for. `amount` in minor units; None: all that is left."""

    kind: TransactionType
    amount: int | None = None
    final: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OperationStart:
    """When and by whom an operation was begun, and for how long it is theirs alone.

    `merchant_bucket`: where it stands in its merchant's list; `open_bucket`: where it waits for its
    answer.
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
    """Take what was authorized, or a part: 200, 402 when declined, 202 while unknown.

    Raises NotFound, InvalidState, InvalidValue, and what `run_once` raises.
    """
    intent = OperationIntent(TransactionType.CAPTURE, request.amount, request.final)
    return _operate(payment_id, intent, call, deps)


def cancel_payment(payment_id: str, call: Call, deps: PaymentDependencies) -> StoredAnswer:
    """Give an authorization back: 200, 202 while unknown. Raises NotFound, InvalidState."""
    return _operate(payment_id, OperationIntent(TransactionType.VOID), call, deps)


def refund_payment(
    payment_id: str, request: RefundRequest, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    """Give back what was captured, or a part: 200, 402 refund_failed, 202 while unknown.

    Raises NotFound, InvalidState, and what `run_once` raises.
    """
    intent = OperationIntent(TransactionType.REFUND, request.amount, reason=request.reason)
    return _operate(payment_id, intent, call, deps)


def _operate(
    payment_id: str, intent: OperationIntent, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    payment = require_found(deps.payments.get(payment_id, call.scope), "payment", payment_id)
    merchant = deps.merchants.require(payment.merchant_id)
    attempt, operation_id = call.new_id("att"), call.new_id("txn")
    claim = new_claim(call, merchant.id, owner=attempt, index_buckets=merchant.index_buckets)
    assert claim is not None, "the route requires an idempotency key"
    claim = claim.model_copy(update={"resource_id": operation_id})
    step = OperationStep(operation_id, intent, payment, merchant, call, deps)
    return run_once(step, claim, call, deps)


@dataclass
class OperationStep:
    """A capture, refund or void, as a step (processor_steps.py)."""

    operation_id: str
    intent: OperationIntent
    payment: Payment
    merchant: MerchantProfile
    call: Call
    deps: PaymentDependencies
    _connector: Processor | None = field(default=None, repr=False)
    _operation: Transaction | None = field(default=None)

    @property
    def operation(self) -> Transaction:
        """The pending transaction, once it was begun."""
        assert self._operation is not None, f"{self.operation_id} was not begun"
        return self._operation

    def begin(self, claim: IdempotencyRecord) -> None:
        """Claim, pending transaction and ceilings.

        A condition that fails tells how the payment stands now: refused for that, or tried again
        where "all that is left" has become another amount.
        """
        # Made before the intent: what is wrong with the merchant's configuration shows here.
        connector = self.deps.connectors.of_payment(self.payment)
        self._connector = connector
        self._refuse_what_may_not_be(connector)
        for _ in range(MAX_ATTEMPTS):
            self._operation = self._draft(claim)
            try:
                self.deps.payments.begin_operation(
                    self._operation, claim, self.call.now, token=self.call.new_id("opn")
                )
            except OperationRefused as refused:
                self.payment = refused.payment
            else:
                return
        raise Unavailable(f"{self.payment.id} is being changed by other requests; try again")

    def ask(self) -> ProcessorAnswer:
        """The processor's answer. Raises ProcessorUnknown."""
        assert self._connector is not None, f"{self.operation_id} was not begun"
        return self._connector.operate(operation_request(self.operation, self.payment))

    def mark_unknown(self) -> StoredAnswer:
        """The operation stays pending, and the resolver may ask at once: 202."""
        outside = self.deps.outside
        moment = outside.now()
        now = to_timestamp(moment)
        unowned = self.operation.model_copy(
            update={
                "lease_owner": None,
                "next_action_at": now,
                "version": self.operation.version + 1,
                "updated_at": now,
                "cause": outside.new_id("unk", moment),
            }
        )
        # Stale: the resolver has taken it meanwhile, and may even have finished it.
        with contextlib.suppress(StaleWrite):
            self.deps.payments.advance_operation(self.operation, unowned, token=unowned.cause)
        return self._current_answer()

    def settle(self, reply: ProcessorAnswer, claim: IdempotencyRecord) -> StoredAnswer:
        """Payment, transaction, booking and answer."""
        try:
            return settle_operation(
                self.operation, reply, claim, self.deps, request_id=claim.request_id
            )
        except StaleWrite:
            return self._current_answer()

    def _current_answer(self) -> StoredAnswer:
        request_id = self.call.caller.request_id
        return current_operation_answer(self.operation_id, self.merchant.id, request_id, self.deps)

    def _draft(self, claim: IdempotencyRecord) -> Transaction:
        intent, payment = self.intent, self.payment
        amount = ceiling_of(payment, intent.kind) if intent.amount is None else intent.amount
        refusal = refusal_of(payment, intent.kind, amount, final=intent.final)
        if isinstance(refusal, AmountTooLarge) and intent.amount is None:
            refusal = InvalidState(refusal.detail)
        if refusal is not None:
            raise refusal
        start = OperationStart(
            at=self.call.now,
            lease=self.deps.intent_lease,
            owner=claim.owner,
            context=self.call.caller.change(cause=self.operation_id),
            merchant_bucket=operation_bucket(self.operation_id, self.merchant),
            open_bucket=self.deps.open_bucket(self.operation_id),
            claim_key=claim.key,
        )
        return pending_operation(self.operation_id, intent, amount, payment, start)

    def _refuse_what_may_not_be(self, connector: Processor) -> None:
        """Who is inactive, or of the other mode, gives back, but takes nothing.

        Not all processors take in parts.
        """
        if self.intent.kind is not TransactionType.CAPTURE:
            return
        if self.merchant.status is not MerchantStatus.ACTIVE:
            raise InactiveMerchant(f"Merchant {self.merchant.id} is {self.merchant.status}")
        require_mode(self.payment.processor, connector, self.deps.timing.processors)
        if not self.intent.final and not connector.captures_in_parts:
            raise InvalidValue(
                f"{self.payment.processor} can capture an authorization only once; leave out final",
                param="final",
            )


def operation_bucket(operation_id: str, merchant: MerchantProfile) -> str:
    """Key of a capture, refund or void in the list of its merchant's operations."""
    return bucket_for(merchant.id, operation_id, merchant.index_buckets)


def pending_operation(
    operation_id: str, intent: OperationIntent, amount: int, payment: Payment, start: OperationStart
) -> Transaction:
    """The transaction of an operation before the processor is asked."""
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
    """What the processor is asked for this operation, always under the same reference."""
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
    )


def settle_operation(
    operation: Transaction,
    reply: ProcessorAnswer,
    claim: IdempotencyRecord | None,
    deps: PaymentDependencies,
    *,
    request_id: str,
) -> StoredAnswer:
    """Second commit of an operation, on the payment as it has become meanwhile.

    Raises StaleWrite when the operation is not ours any more, Unavailable.
    """
    owner = Scope(operation.merchant_id)
    merchant = deps.merchants.require(operation.merchant_id)
    for _ in range(MAX_ATTEMPTS):
        payment = deps.payments.get(operation.payment_id, owner)
        assert payment is not None, f"{operation.payment_id} has {operation.id}"
        transactions = deps.payments.transactions_of(payment)
        if {each.id: each.version for each in transactions}.get(operation.id) != operation.version:
            raise StaleWrite("transactions", f"{operation.id} is not ours any more")
        now = deps.outside.now()
        outcome = operation_outcome(payment, operation, reply, merchant, now, deps.outside)
        known = replaced(transactions, outcome.operation)
        answer = operation_answer(outcome.payment, known, outcome.operation, request_id)
        token = deps.outside.new_id("out", now)
        try:
            commit_outcome(outcome.writes, answer, claim, token=token, deps=deps)
        except StaleWrite as stale:
            if stale.table == "transactions":
                raise
            continue
        return answer
    raise Unavailable(f"{operation.payment_id} is being changed by other requests; try again")
