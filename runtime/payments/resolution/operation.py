"""Resolve one unanswered capture, refund or void: query it, or send it again.

Sending it again is safe, because the processor executes each reference once.
"""

from __future__ import annotations

from datetime import datetime

from runtime.core.errors import ProcessorUnknown, StaleWrite
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment
from runtime.payments.operations.operations import operation_request, settle_operation
from runtime.payments.operations.rules import absence_is_final
from runtime.payments.resolution.leases import (
    ResolutionResult,
    is_leased,
    lease_of,
    log_resolved,
)
from runtime.payments.rules import ProcessorAnswer
from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.payments.two_phase import open_claim


def resolve_operation(
    operation_id: str, deps: PaymentDependencies, request_id: str
) -> ResolutionResult:
    """Resolve one operation, if possible now."""
    now = deps.outside.now()
    operation = deps.payments.transaction(operation_id, UNRESTRICTED)
    if operation is None or operation.status is not TransactionStatus.PENDING:
        return ResolutionResult.OVER
    if is_leased(operation, now):
        return ResolutionResult.OVER
    payment = deps.payments.get(operation.payment_id, UNRESTRICTED)
    assert payment is not None, f"{operation.payment_id} has {operation.id}"
    leased = operation.model_copy(update=lease_of(operation, now, deps, request_id))
    try:
        deps.payments.advance_operation(operation, leased, token=leased.cause)
        reply = _ask(leased, payment, now, deps)
        if reply is None:
            return ResolutionResult.WAITING
        claim = open_claim(leased.claim_key, leased.id, deps)
        asked_by = claim.request_id if claim else operation.request_id
        settle_operation(leased, reply, claim, deps, request_id=asked_by)
        log_resolved(leased, asked_by)
    except StaleWrite:
        return ResolutionResult.OVER
    return ResolutionResult.RESOLVED


def _ask(
    operation: Transaction, payment: Payment, now: datetime, deps: PaymentDependencies
) -> ProcessorAnswer | None:
    processor = deps.connectors.of_payment(payment)
    request = operation_request(operation, payment)
    begun = to_datetime(operation.created_at)
    try:
        reply = processor.find_operation(request)
        if reply is None and absence_is_final(begun, now, deps.longest_request):
            reply = processor.operate(request)
    except ProcessorUnknown:
        return None
    return reply
