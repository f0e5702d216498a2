"""Verify Stripe's notifications, and map them to processor events."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import stripe
from pydantic import BaseModel, ValidationError

from runtime.core.errors import BadSignature, MalformedJson
from runtime.http.field_errors import first_field
from runtime.payments.processors.events import EventKind, ProcessorEvent
from runtime.payments.processors.stripe.shapes import Dispute, Event, PaymentIntent, Refund

SIGNATURE_HEADER: Final = "stripe-signature"
TOLERANCE_SECONDS: Final = 300
_SIGNATURE: Final = re.compile(r"t=(\d{1,12})(?:,v\d=[0-9a-f]{1,128}){1,8}", re.ASCII)
"""Strict, so that the time compared here is the time that was signed."""
_CHARGE_PREFIX: Final = "payment_intent."
_INQUIRY_PREFIX: Final = "warning_"
_REFUND_FAILED: Final = frozenset({"failed", "canceled"})

ShapeT = TypeVar("ShapeT", bound=BaseModel)


def read_stripe_event(
    headers: Mapping[str, str], body: bytes, secret: str | None, now: datetime
) -> ProcessorEvent:
    """Verify and parse a notification. Raises BadSignature, MalformedJson."""
    _require_signature(headers.get(SIGNATURE_HEADER, ""), body, secret, now)
    return hint_of(body)


def hint_of(document: object) -> ProcessorEvent:
    """The hint in a Stripe event, given as a body or an object. Raises MalformedJson."""
    event = _read(Event, document)
    reader = _READERS.get(event.type)
    if reader is None and event.type.startswith(_CHARGE_PREFIX):
        reader = _charge_changed
    return reader(event) if reader is not None else _ignored(event)


def _require_signature(header: str, body: bytes, secret: str | None, now: datetime) -> None:
    if secret is None:
        raise BadSignature("The merchant's processor_config has no webhook_secret")
    given = _SIGNATURE.fullmatch(header)
    if given is None:
        raise BadSignature(f"{SIGNATURE_HEADER} is missing or not of the form t=…,v1=…")
    try:
        # No tolerance here: the library would use its own clock.
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        raise BadSignature(f"{SIGNATURE_HEADER} was not made with the merchant's secret") from None
    if abs(now.timestamp() - int(given[1])) > TOLERANCE_SECONDS:
        raise BadSignature(f"{SIGNATURE_HEADER} is more than {TOLERANCE_SECONDS} s old")


def _read(shape: type[ShapeT], document: object) -> ShapeT:
    try:
        if isinstance(document, bytes):
            return shape.model_validate_json(document)
        return shape.model_validate(document)
    except ValidationError as error:
        raise MalformedJson(f"The notification is not valid: see {first_field(error)}") from None


def _charge_changed(event: Event) -> ProcessorEvent:
    intent = _read(PaymentIntent, event.data.object)
    reference = intent.metadata.get("reference")
    if reference is None:
        return _ignored(event)
    return _event(event, EventKind.CHARGE_CHANGED, charge_id=intent.id, reference=reference)


def _refund_changed(event: Event) -> ProcessorEvent:
    refund = _read(Refund, event.data.object)
    reference = (refund.metadata or {}).get("reference")
    if reference is None or refund.payment_intent is None:
        return _ignored(event)
    failed = refund.status in _REFUND_FAILED
    kind = EventKind.REFUND_FAILED if failed else EventKind.OPERATION_CHANGED
    return _event(event, kind, refund.payment_intent, reference, refund.id)


def _dispute_created(event: Event) -> ProcessorEvent:
    """Relevant if the funds are already withdrawn; otherwise `funds_withdrawn` follows."""
    dispute = _read(Dispute, event.data.object)
    if not any(moved.amount < 0 for moved in dispute.balance_transactions):
        return _ignored(event)
    return _disputed(event)


def _dispute_closed(event: Event) -> ProcessorEvent:
    decided = _read(Dispute, event.data.object).status in ("won", "lost")
    return _disputed(event) if decided else _ignored(event)


def _disputed(event: Event) -> ProcessorEvent:
    dispute = _read(Dispute, event.data.object)
    intent = dispute.payment_intent
    if intent is None or dispute.status.startswith(_INQUIRY_PREFIX):
        return _ignored(event)
    charge_id = intent if isinstance(intent, str) else intent.id
    return _event(event, EventKind.DISPUTE_CHANGED, charge_id, object_id=dispute.id)


def _ignored(event: Event) -> ProcessorEvent:
    return _event(event, EventKind.IGNORED)


def _event(
    event: Event,
    kind: EventKind,
    charge_id: str | None = None,
    reference: str | None = None,
    object_id: str | None = None,
) -> ProcessorEvent:
    return ProcessorEvent(event.id, kind, _at(event), charge_id, reference, object_id)


def _at(event: Event) -> datetime:
    return datetime.fromtimestamp(event.created, UTC)


_READERS: Final[Mapping[str, Callable[[Event], ProcessorEvent]]] = {
    "charge.dispute.created": _dispute_created,
    "charge.dispute.funds_withdrawn": _disputed,
    "charge.dispute.funds_reinstated": _disputed,
    "charge.dispute.closed": _dispute_closed,
    "charge.refund.updated": _refund_changed,
    "refund.created": _refund_changed,
    "refund.failed": _refund_changed,
    "refund.updated": _refund_changed,
}
"""Readers by event type. All events of PaymentIntents are hints too; others are ignored."""

POLLED_TYPES: Final = tuple(name for name in _READERS if name != "refund.created")
"""Types that the daily poll lists. `refund.created` is omitted: every refund has that event."""
