"""Notifications of processors: disputes, refunds that come back, and hints to ask again.

A notification is judged by the processor's own signature with the secret of the merchant that its
URL names, and applied once per event id. It may come twice, late, or before older ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runtime.contract.processor_events import EventAnswer, EventResult
from runtime.domain.disputes import DISPUTE_STATUS
from runtime.domain.idempotency import event_key
from runtime.domain.processor_events import EventKind, ProcessorEvent
from runtime.echo import echoed
from runtime.errors import BadSignature, NotFound, Unavailable
from runtime.models.change import ChangeContext
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import Payment, PaymentStatus
from runtime.models.scope import Scope
from runtime.models.transaction import Transaction, TransactionStatus, TransactionType
from runtime.observability import logger
from runtime.services.charge_resolution import resolve_payment
from runtime.services.event_outcome import EventDesk, apply_dispute, take_back_refund
from runtime.services.operation_resolution import resolve_operation
from runtime.services.payment_desk import PaymentDesk

PATIENCE: Final = timedelta(hours=1)
"""So long a notification about something that we do not know is asked for again: the answer of the
charge itself may still be on its way. Later it is somebody else's."""
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
    """Apply a genuine notification once.

    Raises NotFound for an unknown processor, BadSignature, MalformedJson, and Unavailable where the
    processor should send it again.
    """
    if not desk.connectors.knows(notification.processor):
        raise NotFound(f"there is no processor {echoed(notification.processor)}")
    merchant = _merchant(notification, desk)
    event = _genuine(merchant, notification, desk)
    result = _apply(event, merchant, notification, desk)
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
) -> ProcessorEvent:
    """The event, if it is signed with the secret of any of the merchant's kept accounts."""
    refused = BadSignature(_NOT_THEIRS)
    for connector in desk.connectors.kept(merchant.id, notification.processor).values():
        try:
            return connector.read_event(notification.headers, notification.body, notification.now)
        except BadSignature as of_this_account:
            refused = of_this_account
    raise refused


def _apply(
    event: ProcessorEvent, merchant: MerchantProfile, notification: Notification, desk: PaymentDesk
) -> EventResult:
    if event.kind is EventKind.IGNORED:
        return EventResult.IGNORED
    key = event_key(merchant.id, notification.processor, event.id)
    if desk.claims.read(key) is not None:
        return EventResult.DUPLICATE
    if event.kind in (EventKind.CHARGE_CHANGED, EventKind.OPERATION_CHANGED):
        return _ask_now(event, merchant, notification, desk)
    context = ChangeContext(
        changed_by=f"processor {notification.processor}",
        request_id=notification.request_id,
        cause=event.id,
        ip_address=notification.ip_address,
        user_agent=notification.user_agent,
    )
    booking = EventDesk(desk, merchant, key, context, notification.now)
    if event.kind in DISPUTE_STATUS:
        payment = _payment(event, merchant, desk)
        if payment is None or payment.amount_captured == 0:
            return _not_ours(event, notification)
        return apply_dispute(payment, event, booking)
    refund = _refund(event, merchant, desk)
    if refund is None:
        return _not_ours(event, notification)
    if refund.status is TransactionStatus.PENDING:
        return _resolved(resolve_operation, refund.id, notification, desk)
    return take_back_refund(refund, booking)


def _ask_now(
    event: ProcessorEvent, merchant: MerchantProfile, notification: Notification, desk: PaymentDesk
) -> EventResult:
    """A hint is not believed: what became of it is asked of the processor."""
    if event.kind is EventKind.OPERATION_CHANGED:
        operation = _refund(event, merchant, desk, any_kind=True)
        if operation is None:
            return EventResult.IGNORED
        return _resolved(resolve_operation, operation.id, notification, desk)
    payment = _payment(event, merchant, desk)
    if payment is None or payment.status is PaymentStatus.REQUIRES_CAPTURE:
        return EventResult.IGNORED
    return _resolved(resolve_payment, payment.id, notification, desk)


def _resolved(
    resolve: Callable[[str, PaymentDesk, str], object],
    identifier: str,
    notification: Notification,
    desk: PaymentDesk,
) -> EventResult:
    resolve(identifier, desk, notification.request_id)
    return EventResult.APPLIED


def _payment(event: ProcessorEvent, merchant: MerchantProfile, desk: PaymentDesk) -> Payment | None:
    """The merchant's payment that the notification is about."""
    owner = Scope(merchant.id)
    if event.reference is not None and event.reference.startswith("pay_"):
        return desk.payments.get(event.reference, owner)
    if event.charge_id is None:
        return None
    for payment_id in desk.payments.of_processor_id(event.charge_id, owner):
        return desk.payments.get(payment_id, owner)
    return None


def _refund(
    event: ProcessorEvent, merchant: MerchantProfile, desk: PaymentDesk, *, any_kind: bool = False
) -> Transaction | None:
    if event.reference is None or not event.reference.startswith("txn_"):
        return None
    found = desk.payments.transaction(event.reference, Scope(merchant.id))
    if found is None or any_kind or found.type is TransactionType.REFUND:
        return found
    return None


def _not_ours(event: ProcessorEvent, notification: Notification) -> EventResult:
    """Asked for again while it is young; then nobody here will ever know it."""
    if notification.now - event.at < PATIENCE:
        raise Unavailable(f"{event.id} is about nothing that is known yet; send it again later")
    logger.warning("a processor event about nothing of ours", event=event.id, kind=event.kind)
    return EventResult.IGNORED
