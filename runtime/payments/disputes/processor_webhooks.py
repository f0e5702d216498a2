"""Notifications from processors: disputes, returned refunds, and hints to ask again.

The processor's signature is verified with the secret of the merchant that the URL names, and each
event id is applied once. Notifications may arrive twice, late or out of order. A notification is
only a hint: what is booked is the state that we read from the processor with our own key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.echo import echoed
from runtime.core.errors import BadSignature, NotFound
from runtime.core.observability import logger
from runtime.idempotency.rules import event_key
from runtime.merchants.models import MerchantProfile
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.disputes.api import EventAnswer
from runtime.payments.disputes.apply_processor_event import ApplyEventDependencies
from runtime.payments.disputes.kept_event_routes import ProcessorEventDependencies
from runtime.payments.disputes.kept_events import apply_event
from runtime.payments.processors.events import ProcessorEvent

_INVALID_SIGNATURE: Final = (
    "The signature is missing, too old, or not made with the secret of the merchant in the URL"
)
"""The same answer for all causes, including an unknown merchant; the log has the cause."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A received notification. `headers` have lower-case names."""

    processor: str
    merchant_id: str | None
    headers: Mapping[str, str]
    body: bytes
    now: datetime
    request_id: str
    ip_address: str
    user_agent: str


def receive_event(notification: Notification, deps: ProcessorEventDependencies) -> EventAnswer:
    """Verify a notification, then apply the processor's current state once, or keep the event.

    Raises NotFound for an unknown processor, BadSignature, MalformedJson, and Unavailable where the
    processor should send it again.
    """
    payments = deps.payments
    if not payments.connectors.knows(notification.processor):
        raise NotFound(f"No such processor: {echoed(notification.processor)}")
    merchant = _merchant(notification, payments)
    event, account = _verified_event(merchant, notification, payments)
    booking = ApplyEventDependencies(
        payments=payments,
        merchant=merchant,
        processor=notification.processor,
        account=account,
        connector=payments.connectors.of(merchant.id, notification.processor, account),
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
    result = apply_event(event, booking, deps.kept)
    logger.info("processor event", event=event.id, kind=event.kind, result=result)
    return EventAnswer(id=event.id, result=result)


def _merchant(notification: Notification, deps: PaymentDependencies) -> MerchantProfile:
    """The merchant in the URL. An unknown merchant gives the same error as a wrong signature."""
    if notification.merchant_id is None:
        raise BadSignature("The URL must name the merchant: ?merchant_id=mer_…")
    try:
        return deps.merchants.require(notification.merchant_id)
    except NotFound as unknown:
        raise BadSignature(_INVALID_SIGNATURE) from unknown


def _verified_event(
    merchant: MerchantProfile, notification: Notification, deps: PaymentDependencies
) -> tuple[ProcessorEvent, str | None]:
    """The event, and the kept account whose secret signed it.

    Accounts of the other mode are not accepted. In test mode the holder of the secret, possibly the
    merchant, decides what has happened.
    """
    reasons: set[str] = set()
    kept = deps.connectors.kept(merchant.id, notification.processor)
    for account, connector in kept.items():
        if connector.mode != deps.timing.processors:
            continue
        try:
            event = connector.read_event(notification.headers, notification.body, notification.now)
        except BadSignature as of_this_account:
            reasons.add(of_this_account.detail)
        else:
            return event, account
    logger.warning("a notification was rejected", merchant_id=merchant.id, reasons=sorted(reasons))
    raise BadSignature(_INVALID_SIGNATURE)
