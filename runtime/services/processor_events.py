"""Notifications of processors: disputes, refunds that come back, and hints to ask again.

A notification is judged by the processor's own signature with the secret of the merchant that its
URL names, and applied once per event id. It may come twice, late, or before older ones. It is a
hint, not a fact: what is booked is what the processor says when it is asked with our own key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runtime.contract.processor_events import EventAnswer, EventResult
from runtime.domain.idempotency import event_key
from runtime.domain.processor_events import EventKind, NotApplicable, ProcessorEvent, Unapplied
from runtime.echo import echoed
from runtime.errors import (
    BadSignature,
    CurrencyMismatch,
    InvalidState,
    NotFound,
    ProcessorUnknown,
    Unavailable,
)
from runtime.gateways.processors.port import Processor
from runtime.models.change import ChangeContext
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import PaymentStatus
from runtime.models.scope import Scope
from runtime.models.transaction import Transaction, TransactionStatus, TransactionType
from runtime.observability import logger
from runtime.services.charge_resolution import resolve_payment
from runtime.services.event_outcome import (
    EventDesk,
    Outcome,
    apply_dispute,
    payment_of,
    require_patience,
    take_back_refund,
)
from runtime.services.operation_resolution import resolve_operation
from runtime.services.payment_desk import PaymentDesk

_NOT_THEIRS: Final = "the signature does not belong to this merchant"


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification as it came in. `headers` have lower-case names."""

    processor: str
    merchant_id: str | None
    headers: Mapping[str, str]
    body: bytes
    now: datetime
    request_id: str
    ip_address: str
    user_agent: str


def receive_event(notification: Notification, desk: PaymentDesk) -> EventAnswer:
    """Apply what the processor says about a genuine notification, once.

    Raises NotFound for an unknown processor, BadSignature, MalformedJson, and Unavailable where the
    processor should send it again.
    """
    if not desk.connectors.knows(notification.processor):
        raise NotFound(f"there is no processor {echoed(notification.processor)}")
    merchant = _merchant(notification, desk)
    event, connector = _genuine(merchant, notification, desk)
    booking = EventDesk(
        payments=desk,
        merchant=merchant,
        processor=notification.processor,
        connector=connector,
        key=event_key(merchant.id, notification.processor, event.id),
        context=ChangeContext(
            changed_by=f"processor {notification.processor}",
            request_id=notification.request_id,
            cause=event.id,
            ip_address=notification.ip_address,
            user_agent=notification.user_agent,
        ),
        now=notification.now,
    )
    result = apply_event(event, booking)
    logger.info("processor event", event=event.id, kind=event.kind, result=result)
    return EventAnswer(id=event.id, result=result)


def _merchant(notification: Notification, desk: PaymentDesk) -> MerchantProfile:
    """Who does not prove to be a merchant's processor does not learn which merchants there are."""
    if notification.merchant_id is None:
        raise BadSignature("name the merchant in the URL: ?merchant_id=mer_…")
    try:
        return desk.merchants.require(notification.merchant_id)
    except NotFound as unknown:
        raise BadSignature(_NOT_THEIRS) from unknown


def _genuine(
    merchant: MerchantProfile, notification: Notification, desk: PaymentDesk
) -> tuple[ProcessorEvent, Processor]:
    """The event, and the connector of the kept account with whose secret it is signed."""
    refused = BadSignature(_NOT_THEIRS)
    for connector in desk.connectors.kept(merchant.id, notification.processor).values():
        try:
            event = connector.read_event(notification.headers, notification.body, notification.now)
        except BadSignature as of_this_account:
            refused = of_this_account
        else:
            return event, connector
    raise refused


def apply_event(event: ProcessorEvent, desk: EventDesk) -> EventResult:
    """Have the books say what the processor says of what the event is about.

    Raises Unavailable where it has to come again.
    """
    try:
        return outcome_of(event, desk).result
    except NotApplicable as impossible:
        logger.warning("a processor event is not applied", event=event.id, why=impossible.detail)
        if impossible.reason in (Unapplied.UNKNOWN_PAYMENT, Unapplied.UNKNOWN_REFUND):
            return EventResult.IGNORED
        if impossible.reason is Unapplied.CURRENCY_MISMATCH:
            raise CurrencyMismatch(impossible.detail) from impossible
        raise InvalidState(impossible.detail) from impossible


def outcome_of(event: ProcessorEvent, desk: EventDesk) -> Outcome:
    """Ask the processor, and book what it says.

    Raises NotApplicable where that cannot be booked, Unavailable where it has to come again.
    """
    if event.kind is EventKind.IGNORED:
        return Outcome(EventResult.IGNORED)
    if desk.payments.claims.read(desk.key) is not None:
        return Outcome(EventResult.DUPLICATE)
    try:
        if event.kind is EventKind.DISPUTE_CHANGED:
            return apply_dispute(event, desk)
        if event.kind is EventKind.REFUND_FAILED:
            return _refund_failed(event, desk)
    except ProcessorUnknown as silent:
        raise Unavailable(
            f"the processor does not say what {echoed(event.id)} is about"
        ) from silent
    return Outcome(_ask_now(event, desk))


def _refund_failed(event: ProcessorEvent, desk: EventDesk) -> Outcome:
    """A refund that is under way is finished first; while somebody else does, the event waits."""
    refund = _operation(event, desk)
    if refund is None or refund.type is not TransactionType.REFUND:
        return _unknown_refund(event, desk)
    if refund.status is TransactionStatus.PENDING:
        resolve_operation(refund.id, desk.payments, desk.context.request_id)
        refund = _operation(event, desk)
        assert refund is not None, f"{event.reference} is never deleted"
        if refund.status is TransactionStatus.PENDING:
            raise Unavailable(f"{refund.id} is being made just now; send {echoed(event.id)} again")
        if refund.status is TransactionStatus.FAILED:
            return Outcome(EventResult.APPLIED)
    return take_back_refund(refund, event, desk)


def _unknown_refund(event: ProcessorEvent, desk: EventDesk) -> Outcome:
    """What was not refunded by this platform is ignored; what says that it was, is not."""
    if event.reference is None or not event.reference.startswith("txn_"):
        return Outcome(EventResult.IGNORED)
    require_patience(event, desk)
    state = desk.connector.find_refund(event.reference, event.object_id)
    if state is None:
        logger.warning("the processor has no such refund", event=event.id)
        return Outcome(EventResult.IGNORED)
    raise NotApplicable(
        Unapplied.UNKNOWN_REFUND,
        f"refund {state.id} of {state.amount_minor} {state.currency} names {event.reference}, "
        "which is no refund that was made here",
        state.created_at,
    )


def _ask_now(event: ProcessorEvent, desk: EventDesk) -> EventResult:
    """A hint about what may be under way: if it is, it is finished now."""
    payments, request_id = desk.payments, desk.context.request_id
    if event.kind is EventKind.OPERATION_CHANGED:
        operation = _operation(event, desk)
        if operation is None:
            return EventResult.IGNORED
        resolve_operation(operation.id, payments, request_id)
        return EventResult.APPLIED
    payment = payment_of(event, desk)
    if payment is None or payment.status is PaymentStatus.REQUIRES_CAPTURE:
        return EventResult.IGNORED
    resolve_payment(payment.id, payments, request_id)
    return EventResult.APPLIED


def _operation(event: ProcessorEvent, desk: EventDesk) -> Transaction | None:
    """The merchant's capture, refund or void that the event names."""
    if event.reference is None or not event.reference.startswith("txn_"):
        return None
    return desk.payments.payments.transaction(event.reference, Scope(desk.merchant.id))
