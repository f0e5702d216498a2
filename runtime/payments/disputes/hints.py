"""Turn a hint into an outcome: ask the processor about its object, and book the answer.

Shared by notifications, the daily poll, and kept events that are applied again.
"""

from __future__ import annotations

from runtime.core.echo import echoed
from runtime.core.errors import ProcessorUnknown, Unavailable
from runtime.core.observability import logger
from runtime.core.scope import Scope
from runtime.payments.disputes.api import EventResult
from runtime.payments.disputes.apply_processor_event import (
    AppliedEvent,
    ApplyEventDependencies,
    apply_dispute,
    payment_of,
    retry_while_recent,
    reverse_refund,
)
from runtime.payments.models import PaymentStatus
from runtime.payments.processors.events import (
    EventKind,
    NotApplicable,
    ProcessorEvent,
    RefundOutcome,
    Unapplied,
)
from runtime.payments.resolution.charge import resolve_payment
from runtime.payments.resolution.operation import resolve_operation
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType


def outcome_of(event: ProcessorEvent, deps: ApplyEventDependencies) -> AppliedEvent:
    """Ask the processor, and book its answer.

    Raises NotApplicable if the answer cannot be booked, Unavailable if the event must be resent.
    """
    if event.kind is EventKind.IGNORED:
        return AppliedEvent(EventResult.IGNORED)
    if deps.payments.claims.read(deps.key) is not None:
        return AppliedEvent(EventResult.DUPLICATE)
    try:
        if event.kind is EventKind.DISPUTE_CHANGED:
            return apply_dispute(event, deps)
        if event.kind is EventKind.REFUND_FAILED:
            return _refund_failed(event, deps)
    except ProcessorUnknown as silent:
        raise Unavailable(
            f"The processor did not return the object of {echoed(event.id)}; send it again"
        ) from silent
    return AppliedEvent(_ask_now(event, deps))


def _refund_failed(event: ProcessorEvent, deps: ApplyEventDependencies) -> AppliedEvent:
    """Finish a pending refund first; the event waits while another process is finishing it."""
    refund = _operation(event, deps)
    if refund is None or refund.type is not TransactionType.REFUND:
        return _unknown_refund(event, deps)
    if refund.status is TransactionStatus.PENDING:
        resolve_operation(refund.id, deps.payments, deps.context.request_id)
        refund = _operation(event, deps)
        assert refund is not None, f"{event.reference} does not exist; it is never deleted"
        if refund.status is TransactionStatus.PENDING:
            raise Unavailable(f"{refund.id} is in progress; send {echoed(event.id)} again")
        if refund.status is TransactionStatus.FAILED:
            return AppliedEvent(EventResult.APPLIED)
    return reverse_refund(refund, event, deps)


def _unknown_refund(event: ProcessorEvent, deps: ApplyEventDependencies) -> AppliedEvent:
    """Ignore refunds that were not made by this platform, unless they carry our reference.

    The reference is read from the processor's failed refund, not from the event. Otherwise anyone
    with the webhook secret could cause any number of events to be kept.
    """
    if event.reference is None or not event.reference.startswith("txn_"):
        return AppliedEvent(EventResult.IGNORED)
    retry_while_recent(event, deps)
    state = deps.connector.find_refund(event.reference, event.object_id)
    if state is None or state.outcome is not RefundOutcome.FAILED:
        logger.warning("the processor reports no failed refund", event=event.id)
        return AppliedEvent(EventResult.IGNORED)
    if state.reference != event.reference:
        logger.warning("the processor's refund and its event differ", event=event.id)
        return AppliedEvent(EventResult.IGNORED)
    raise NotApplicable(
        Unapplied.UNKNOWN_REFUND,
        f"refund {state.id} of {state.amount_minor} {state.currency} names {event.reference}, "
        "which is not a refund of this platform",
        state.created_at,
    )


def _ask_now(event: ProcessorEvent, deps: ApplyEventDependencies) -> EventResult:
    """Finish the payment or operation that the hint is about, if it is still pending."""
    payments, request_id = deps.payments, deps.context.request_id
    if event.kind is EventKind.OPERATION_CHANGED:
        operation = _operation(event, deps)
        if operation is None:
            return EventResult.IGNORED
        resolve_operation(operation.id, payments, request_id)
        return EventResult.APPLIED
    payment = payment_of(event, deps)
    if payment is None or payment.status is PaymentStatus.REQUIRES_CAPTURE:
        return EventResult.IGNORED
    resolve_payment(payment.id, payments, request_id)
    return EventResult.APPLIED


def _operation(event: ProcessorEvent, deps: ApplyEventDependencies) -> Transaction | None:
    """The merchant's capture, refund or void that the event names."""
    if event.reference is None or not event.reference.startswith("txn_"):
        return None
    return deps.payments.payments.transaction(event.reference, Scope(deps.merchant.id))
