"""Book the processor's answer about a dispute or a refund, in one commit per event.

The payment is read before the processor is asked, and the commit checks its version. A concurrent
writer therefore has to ask again, and the books end with the processor's latest state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from runtime.core.change_context import ChangeContext
from runtime.core.echo import echoed
from runtime.core.errors import AlreadyClaimed, ProcessorAccountRemoved, StaleWrite, Unavailable
from runtime.core.observability import logger
from runtime.core.scope import Scope
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import bucket_for
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.ledger.booking import FactPosting
from runtime.ledger.rules import dispute_legs, reversal_legs, total_of
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.merchants.models import MerchantProfile
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.disputes.api import EventResult
from runtime.payments.disputes.rules import (
    DisputeStep,
    changes_after,
    dispute_step,
    next_posting_id,
)
from runtime.payments.models import Payment
from runtime.payments.operations.rules import after_failed_refund
from runtime.payments.posting_ids import POSTING_OPERATION, returned_refund_posting_id
from runtime.payments.processors.events import (
    DisputeState,
    NotApplicable,
    ProcessorEvent,
    RefundOutcome,
    Unapplied,
)
from runtime.payments.processors.port import Processor
from runtime.payments.transaction_models import AuditStep, Transaction, TransactionStatus
from runtime.payments.unsettled_ids import is_settled_as_missing
from runtime.payments.writes import EventWrites

MAX_ATTEMPTS: Final = 20
"""Attempts to book one event under concurrent writes. Each attempt asks the processor again."""
EVENTS_KEPT: Final = timedelta(days=30)
"""How long event ids are stored. Stripe, for example, retries for three days."""
RECORDING_DELAY: Final = timedelta(hours=1)
"""How long the processor must resend an event about an unknown object: the payment or refund may
not be recorded yet. After that the event is kept for an operator to review."""
_DONE: Final = (TransactionStatus.SUCCEEDED, TransactionStatus.SETTLED)


@dataclass(frozen=True, slots=True)
class ApplyEventDependencies:
    """The context for applying one event: its merchant, its idempotency key and the time.

    `connector`: the connector of `account`, the processor account that sent the event.
    """

    payments: PaymentDependencies
    merchant: MerchantProfile
    processor: str
    account: str | None
    connector: Processor
    key: str
    context: ChangeContext
    now: datetime

    def claim(self) -> IdempotencyRecord:
        """The idempotency claim by which a repeated event is recognized."""
        at = self.payments.outside.now()
        return IdempotencyRecord(
            key=self.key,
            merchant_bucket=bucket_for(self.merchant.id, self.key, self.merchant.index_buckets),
            created_at=to_timestamp(at),
            merchant_id=self.merchant.id,
            key_subject=self.merchant.id,
            request_id=self.context.request_id,
            fingerprint=self.context.cause,
            owner=self.payments.outside.new_id("evt", at),
            state=ClaimState.COMPLETED,
            expires_at=to_epoch_seconds(at + EVENTS_KEPT),
        )


class AppliedEvent(NamedTuple):
    """The result of an event, and when its object began at the processor, if it exists there."""

    result: EventResult
    since: datetime | None = None


class _Charge(NamedTuple):
    """How a processor identifies a charge: its own id, and the reference that we gave it."""

    charge_id: str | None
    reference: str | None


def apply_dispute(event: ProcessorEvent, deps: ApplyEventDependencies) -> AppliedEvent:
    """Book the processor's state of a dispute on the payment that the processor names.

    Raises NotApplicable, ProcessorUnknown, Unavailable.
    """
    assert event.object_id is not None, f"{event.id} has no dispute id"
    claim = deps.claim()
    charge = _Charge(event.charge_id, event.reference)
    for _ in range(MAX_ATTEMPTS):
        payment = payment_of(charge, deps)
        state = _connector_of(payment, deps).find_dispute(event.object_id)
        if state is None:
            logger.warning("the processor has no such dispute", event=event.id)
            return AppliedEvent(EventResult.IGNORED)
        named = _Charge(state.charge_id, state.reference)
        if named != charge:
            charge = named  # the processor's charge, not the notification's, is the right one
            continue
        payment = _disputable(payment, event, state, deps)
        step = dispute_step(payment, state)
        if step is None:
            return AppliedEvent(EventResult.UNCHANGED, state.created_at)
        try:
            result = _commit(_dispute_writes(payment, state, step, deps), claim, deps)
            return AppliedEvent(result, state.created_at)
        except StaleWrite:
            continue
    raise Unavailable(
        f"The object of {echoed(event.id)} is being changed by other requests; send it again"
    )


def _disputable(
    payment: Payment | None,
    event: ProcessorEvent,
    state: DisputeState,
    deps: ApplyEventDependencies,
) -> Payment:
    """The payment, if the dispute can be booked on it. Raises NotApplicable, Unavailable."""
    is_theirs = payment is not None and payment.processor == deps.processor
    if payment is None or not is_theirs or payment.amount_captured == 0:
        named = state.reference or state.charge_id
        retry_while_recent(event, deps)
        raise NotApplicable(
            Unapplied.UNKNOWN_PAYMENT,
            f"Dispute {state.id} is about {named}, which is not a payment captured through "
            f"{deps.processor}",
            state.created_at,
        )
    if None not in (state.reference, state.charge_id) and state.charge_id != payment.charge_id:
        raise NotApplicable(
            Unapplied.CHARGE_MISMATCH,
            f"Dispute {state.id} names {payment.id} but is about the charge {state.charge_id}; "
            f"that payment's charge is {payment.charge_id}",
            state.created_at,
            payment.id,
        )
    if state.currency != payment.currency:
        raise NotApplicable(
            Unapplied.CURRENCY_MISMATCH,
            f"{payment.id} is in {payment.currency}, but dispute {state.id} is in {state.currency}",
            state.created_at,
            payment.id,
        )
    known = payment.disputes or {}
    if state.id not in known and len(known) >= deps.payments.timing.max_disputes:
        raise NotApplicable(
            Unapplied.TOO_MANY_DISPUTES,
            f"{payment.id} already has {len(known)} disputes, the most it can have; dispute "
            f"{state.id} is another one",
            state.created_at,
            payment.id,
        )
    return payment


def _dispute_writes(
    payment: Payment, state: DisputeState, step: DisputeStep, deps: ApplyEventDependencies
) -> EventWrites:
    legs = dispute_legs(payment.merchant_id, payment.currency, step.taken_minor, step.fee_minor)
    posting_id = next_posting_id(payment.id, state.id, step.dispute)
    booking = _booking(payment, posting_id, legs, deps)
    if booking is not None:
        step = step.booked_by(booking.id)
    after = _next(payment, changes_after(payment, state.id, step), deps)
    return EventWrites(payment, after, transfer=booking)


def reverse_refund(
    refund: Transaction, event: ProcessorEvent, deps: ApplyEventDependencies
) -> AppliedEvent:
    """Return a succeeded refund that did not reach the customer to the merchant.

    Only if the processor confirms it. Raises NotApplicable, ProcessorUnknown, Unavailable.
    """
    claim = deps.claim()
    if refund.status not in _DONE:
        return AppliedEvent(EventResult.UNCHANGED)
    payment = _reread_payment(refund.payment_id, deps)
    state = _connector_of(payment, deps).find_refund(refund.id, refund.processor_id)
    if state is None or state.outcome is not RefundOutcome.FAILED:
        logger.warning("the processor reports no failed refund", event=event.id)
        return AppliedEvent(EventResult.IGNORED if state is None else EventResult.UNCHANGED)
    if (state.amount_minor, state.currency) != (refund.amount, refund.currency):
        raise NotApplicable(
            Unapplied.AMOUNT_MISMATCH,
            f"{refund.id} is {refund.amount} {refund.currency}, but the processor's refund "
            f"{state.id} is {state.amount_minor} {state.currency}",
            state.created_at,
            payment.id,
        )
    legs = reversal_legs(payment.merchant_id, payment.currency, refund.amount)
    for _ in range(MAX_ATTEMPTS):
        # The refund is read after its payment, so the payment cannot be older than the refund.
        payment = _reread_payment(refund.payment_id, deps)
        refund = _reread_refund(refund.id, deps)
        if refund.status not in _DONE:
            return AppliedEvent(EventResult.DUPLICATE, state.created_at)
        _must_not_be_credited(refund, state.created_at)
        if payment.amount_refunded < refund.amount:
            # Reads are not isolated: the refund's commit may be visible in only one of the rows.
            continue
        after = _next(payment, after_failed_refund(payment, refund.amount), deps)
        booking = _booking(payment, returned_refund_posting_id(refund.id), legs, deps)
        writes = EventWrites(payment, after, (refund, _failed(refund, deps)), transfer=booking)
        try:
            return AppliedEvent(_commit(writes, claim, deps), state.created_at)
        except StaleWrite:
            continue
    raise Unavailable(f"{refund.payment_id} is being changed by other requests; send it again")


def _must_not_be_credited(refund: Transaction, since: datetime) -> None:
    """Raise NotApplicable if the merchant has the amount back already.

    That is the case if a decision about its missing line says that it was never paid out.
    """
    if is_settled_as_missing(refund):
        raise NotApplicable(
            Unapplied.ACCEPTED_AS_MISSING,
            f"{refund.id} was decided to be missing for good, line {refund.settlement_line} of "
            f"{refund.settlement_id}: undo that decision, then apply this event",
            since,
            refund.payment_id,
        )


def retry_while_recent(event: ProcessorEvent, deps: ApplyEventDependencies) -> None:
    """Raises Unavailable while the event's payment or refund may still be recorded here."""
    if deps.now - event.at < RECORDING_DELAY:
        raise Unavailable(
            f"{echoed(event.id)} is about a payment or refund that is not recorded yet; "
            "send it again later"
        )


class NamesCharge(Protocol):
    """An event or a processor's answer that identifies a charge."""

    @property
    def charge_id(self) -> str | None:
        """The processor's id of the charge."""

    @property
    def reference(self) -> str | None:
        """Our own id, as sent with the charge."""


def payment_of(charge: NamesCharge, deps: ApplyEventDependencies) -> Payment | None:
    """The merchant's payment for this charge; None if it is not known."""
    payments, owner = deps.payments.payments, Scope(deps.merchant.id)
    if charge.reference is not None and charge.reference.startswith("pay_"):
        return payments.get(charge.reference, owner)
    if charge.charge_id is None:
        return None
    for payment_id in payments.of_processor_id(charge.charge_id, owner):
        return payments.get(payment_id, owner)
    return None


def _connector_of(payment: Payment | None, deps: ApplyEventDependencies) -> Processor:
    """The connector of the payment's account; the event's sender if the payment is unknown."""
    if payment is None or payment.processor != deps.processor:
        return deps.connector
    try:
        return deps.payments.connectors.of_payment(payment)
    except ProcessorAccountRemoved:
        # The removed account cannot be asked, and its notifications cannot be verified. So the
        # account that sent this event is asked whether it has the object.
        return deps.connector


def _commit(
    writes: EventWrites, claim: IdempotencyRecord, deps: ApplyEventDependencies
) -> EventResult:
    outside = deps.payments.outside
    token = outside.new_id("evo", outside.now())
    try:
        deps.payments.payments.record_event(writes, claim, deps.now, token=token)
    except AlreadyClaimed as earlier:
        if earlier.record.owner != claim.owner:
            return EventResult.DUPLICATE
    return EventResult.APPLIED


def _reread_payment(payment_id: str, deps: ApplyEventDependencies) -> Payment:
    payment = deps.payments.payments.get(payment_id, Scope(deps.merchant.id))
    assert payment is not None, f"{payment_id} does not exist; payments are never deleted"
    return payment


def _reread_refund(refund_id: str, deps: ApplyEventDependencies) -> Transaction:
    refund = deps.payments.payments.transaction(refund_id, Scope(deps.merchant.id))
    assert refund is not None, f"{refund_id} does not exist; it is never deleted"
    return refund


def _failed(refund: Transaction, deps: ApplyEventDependencies) -> Transaction:
    at, failed = to_timestamp(deps.now), TransactionStatus.FAILED
    step = AuditStep(status=failed, at=at, by=deps.context.changed_by)
    changes = {
        "status": failed,
        "response_code": "refund_failed",
        "response_text": "The refund was returned to the processor",
        "unsettled_bucket": None,
        "audit_trail": (*refund.audit_trail, step),
    }
    return refund.next_version(at, changes, deps.context)


def _next(payment: Payment, changes: dict[str, object], deps: ApplyEventDependencies) -> Payment:
    return payment.next_version(to_timestamp(deps.now), changes, deps.context)


def _booking(
    payment: Payment, posting_id: str, legs: tuple[Leg, ...], deps: ApplyEventDependencies
) -> Transfer | None:
    """The posting of the legs; None if there are none."""
    if not legs:
        return None
    operation_id = deps.payments.outside.new_id(POSTING_OPERATION, deps.now)
    posting = FactPosting(
        posting_id, operation_id, payment.currency, legs, total_of(legs), payment.id
    )
    return posting.transfer(deps.merchant, deps.now, deps.context)
