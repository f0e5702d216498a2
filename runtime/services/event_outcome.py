"""What a processor's notification changes of a payment and the books, in one commit per event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runtime.contract.processor_events import EventResult
from runtime.domain.buckets import bucket_for
from runtime.domain.disputes import changes_after, dispute_step, next_posting_id
from runtime.domain.ids import new_id
from runtime.domain.instants import to_epoch_seconds, to_instant
from runtime.domain.ledger import chargeback_legs, reversal_legs, total_of
from runtime.domain.payment_operations import after_failed_refund
from runtime.domain.posting_ids import returned_refund_posting_id
from runtime.domain.processor_events import ProcessorEvent
from runtime.errors import AlreadyClaimed, CurrencyMismatch, InvalidState, StaleWrite, Unavailable
from runtime.models.change import ChangeContext
from runtime.models.idempotency import ClaimState, IdempotencyRecord
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import MAX_DISPUTES, Payment
from runtime.models.scope import Scope
from runtime.models.transaction import AuditStep, Transaction, TransactionStatus
from runtime.models.transfer import Leg, Transfer
from runtime.repositories.payment_writes import EventWrites
from runtime.services.payment_desk import PaymentDesk
from runtime.services.payment_outcome import Posting, booking_of

MAX_ATTEMPTS: Final = 100
"""Attempts to write one event on a payment that others change meanwhile."""
EVENTS_KEPT: Final = timedelta(days=30)
"""How long an event's id is remembered; Stripe, for one, repeats events for three days."""


@dataclass(frozen=True, slots=True)
class EventDesk:
    """With what one event is applied: whose it is, under which key it is remembered, and when."""

    payments: PaymentDesk
    merchant: MerchantProfile
    key: str
    context: ChangeContext
    now: datetime

    def claim(self) -> IdempotencyRecord:
        """By which the event is known when it comes again."""
        at = self.payments.clock()
        return IdempotencyRecord(
            key=self.key,
            merchant_bucket=bucket_for(self.merchant.id, self.key, self.merchant.index_buckets),
            created_at=to_instant(at),
            merchant_id=self.merchant.id,
            key_subject=self.merchant.id,
            request_id=self.context.request_id,
            fingerprint=self.context.cause,
            owner=new_id("evt", at),
            state=ClaimState.COMPLETED,
            expires_at=to_epoch_seconds(at + EVENTS_KEPT),
        )


def apply_dispute(payment: Payment, event: ProcessorEvent, desk: EventDesk) -> EventResult:
    """Withdraw, return or note what the event says of a dispute, on the payment as it has become.

    Raises CurrencyMismatch, InvalidState (too many disputes), Unavailable.
    """
    assert event.dispute_id is not None, f"{event.id} is about no dispute"
    dispute_id, claim = event.dispute_id, desk.claim()
    if event.currency != payment.currency:
        raise CurrencyMismatch(
            f"{payment.id} is in {payment.currency}, the dispute in {event.currency}"
        )
    for _ in range(MAX_ATTEMPTS):
        known = payment.disputes or {}
        if dispute_id not in known and len(known) >= MAX_DISPUTES:
            raise InvalidState(f"{payment.id} has {MAX_DISPUTES} disputes and takes no more")
        step = dispute_step(payment, event)
        if step is None:
            return EventResult.UNCHANGED
        legs = (
            *chargeback_legs(
                payment.merchant_id, payment.currency, step.withdrawn_minor, step.fee_minor
            ),
            *reversal_legs(payment.merchant_id, payment.currency, step.returned_minor),
        )
        posting_id = next_posting_id(payment.id, dispute_id, step.dispute)
        booking = _booking(payment, posting_id, legs, desk)
        if booking is not None:
            step = step.booked_by(booking.id)
        after = _next(payment, changes_after(payment, dispute_id, step), desk)
        writes = EventWrites(payment, after, transfer=booking)
        try:
            return _commit(writes, claim, desk)
        except StaleWrite:
            payment = _again(payment.id, desk)
    raise Unavailable(f"{payment.id} changed too often meanwhile; send it again")


def take_back_refund(refund: Transaction, desk: EventDesk) -> EventResult:
    """A refund that had succeeded did not reach the customer: the merchant has it again."""
    claim = desk.claim()
    if refund.status is not TransactionStatus.SUCCEEDED:
        return EventResult.UNCHANGED
    at, failed = to_instant(desk.now), TransactionStatus.FAILED
    after_refund = refund.model_copy(
        update={
            **desk.context.stamp(),
            "status": failed,
            "response_code": "refund_failed",
            "response_text": "The refund was returned to the processor",
            "audit_trail": (
                *refund.audit_trail,
                AuditStep(status=failed, at=at, by=desk.context.changed_by),
            ),
            "version": refund.version + 1,
            "updated_at": at,
        }
    )
    for _ in range(MAX_ATTEMPTS):
        payment = _again(refund.payment_id, desk)
        after = _next(payment, after_failed_refund(payment, refund.amount), desk)
        legs = reversal_legs(payment.merchant_id, payment.currency, refund.amount)
        booking = _booking(payment, returned_refund_posting_id(refund.id), legs, desk)
        writes = EventWrites(payment, after, (refund, after_refund), transfer=booking)
        try:
            return _commit(writes, claim, desk)
        except StaleWrite as stale:
            if stale.table == "transactions":
                return EventResult.DUPLICATE
    raise Unavailable(f"{refund.payment_id} changed too often meanwhile; send it again")


def _commit(writes: EventWrites, claim: IdempotencyRecord, desk: EventDesk) -> EventResult:
    token = new_id("evo", desk.payments.clock())
    try:
        desk.payments.payments.record_event(writes, claim, desk.now, token=token)
    except AlreadyClaimed as earlier:
        if earlier.record.owner != claim.owner:
            return EventResult.DUPLICATE
    return EventResult.APPLIED


def _again(payment_id: str, desk: EventDesk) -> Payment:
    payment = desk.payments.payments.get(payment_id, Scope(desk.merchant.id))
    assert payment is not None, f"{payment_id} is never deleted"
    return payment


def _next(payment: Payment, changes: dict[str, object], desk: EventDesk) -> Payment:
    return payment.model_copy(
        update={
            **changes,
            **desk.context.stamp(),
            "version": payment.version + 1,
            "updated_at": to_instant(desk.now),
        }
    )


def _booking(
    payment: Payment, posting_id: str, legs: Sequence[Leg], desk: EventDesk
) -> Transfer | None:
    """One transfer of everything that moves; None where nothing does."""
    moving = tuple(leg for leg in legs if leg.amount)
    if not moving:
        return None
    posting = Posting(posting_id, moving, total_of(moving))
    return booking_of(payment, posting, desk.merchant, desk.now, desk.context)
