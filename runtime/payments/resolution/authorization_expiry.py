"""Void expired authorizations at the processor, and charges whose customer did not act in time."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from runtime.core.change_context import NOT_VOIDED, ChangeContext
from runtime.core.errors import ProcessorUnknown, StaleWrite
from runtime.core.observability import logger
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.index_shards import operation_open_bucket
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.operations import (
    ACTION_EXPIRED,
    OperationIntent,
    OperationStart,
    operation_bucket,
    operation_request,
    pending_operation,
    settle_operation,
)
from runtime.payments.operations.rules import ceiling_of, refusal_of, void_retry_delay
from runtime.payments.repository import OperationRefused
from runtime.payments.rules import Refused
from runtime.payments.transaction_models import Transaction, TransactionType


class Expiry(NamedTuple):
    """Why the platform itself voids a charge: the user in the audit log, and the void's reason."""

    user: str
    reason: str


AUTHORIZATION: Final = Expiry("authorization expiry", "the authorization expired")
ACTION: Final = Expiry("action expiry", ACTION_EXPIRED)


def expire_authorization(
    payment: Payment, now: datetime, deps: PaymentDependencies, request_id: str
) -> bool:
    """Void an expired authorization. Returns whether the processor has answered.

    While a capture or void is in progress nothing is done; a later run tries again.
    """
    # next_action_at is later if another run has just tried.
    for moment in (payment.authorization_expires_at, payment.next_action_at):
        if moment is None or to_datetime(moment) > now:
            return False
    if not _postponed(payment, now, deps, request_id):
        return False
    return void_now(payment, AUTHORIZATION, now, deps, request_id)


def void_now(
    payment: Payment, expiry: Expiry, now: datetime, deps: PaymentDependencies, request_id: str
) -> bool:
    """Void what is left of a charge. Returns whether the processor has answered."""
    amount = ceiling_of(payment, TransactionType.VOID)
    if refusal_of(payment, TransactionType.VOID, amount, by_platform=True) is not None:
        return False
    operation = _void(payment, amount, expiry, now, deps, request_id)
    try:
        deps.payments.begin_operation(operation, None, now, token=deps.outside.new_id("opn", now))
        processor = deps.connectors.of_payment(payment)
        reply = processor.operate(operation_request(operation, payment))
        settle_operation(operation, reply, None, deps, request_id=request_id)
        if isinstance(reply, Refused) and payment.status is PaymentStatus.REQUIRES_CAPTURE:
            logger.error(NOT_VOIDED, payment=payment.id, code=reply.decline_code)
    except (OperationRefused, StaleWrite, ProcessorUnknown):
        # Refused: a capture or cancel has begun meanwhile. Unknown: the pending void is resolved.
        return False
    return True


def _postponed(payment: Payment, now: datetime, deps: PaymentDependencies, request_id: str) -> bool:
    """Postpone the next attempt; False if the payment was changed meanwhile."""
    assert payment.authorization_expires_at is not None, f"{payment.id} does not expire"
    overdue = now - to_datetime(payment.authorization_expires_at)
    cause = deps.outside.new_id("exp", now)
    context = ChangeContext(changed_by=AUTHORIZATION.user, request_id=request_id, cause=cause)
    changes = {"next_action_at": to_timestamp(now + void_retry_delay(overdue))}
    later = payment.next_version(to_timestamp(now), changes, context)
    try:
        deps.payments.advance(payment, later, token=cause)
    except StaleWrite:
        return False
    return True


def _void(
    payment: Payment,
    amount: int,
    expiry: Expiry,
    now: datetime,
    deps: PaymentDependencies,
    request_id: str,
) -> Transaction:
    operation_id = deps.outside.new_id("txn", now)
    context = ChangeContext(changed_by=expiry.user, request_id=request_id, cause=operation_id)
    start = OperationStart(
        at=now,
        lease=deps.resolver_lease,
        owner=operation_id,
        context=context,
        merchant_bucket=operation_bucket(operation_id, deps.merchants.require(payment.merchant_id)),
        open_bucket=operation_open_bucket(operation_id),
    )
    intent = OperationIntent(TransactionType.VOID, reason=expiry.reason)
    return pending_operation(operation_id, intent, amount, payment, start)
