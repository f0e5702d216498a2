"""Finishing payments whose request died or whose answer was lost, by asking the processor.

Each open payment is leased before it is asked about, so two runs at once do not both finish it.
"Not found" is final only after the request can no longer be on its way, and after the reference was
forbidden at the processor. There is never a second charge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.domain.ids import new_id
from runtime.domain.instants import to_datetime, to_instant
from runtime.domain.payments import ProcessorAnswer, absence_is_final
from runtime.errors import ProcessorUnknown, StaleWrite
from runtime.models.change import ChangeContext
from runtime.models.idempotency import ClaimState, IdempotencyRecord
from runtime.models.payment import Payment, PaymentStatus
from runtime.models.scope import EVERYBODY
from runtime.observability import logger
from runtime.repositories.claims import ClaimRepository
from runtime.repositories.store import Store
from runtime.services.payment_outcome import NOT_CHARGED, outcome_of
from runtime.services.payments import PaymentDesk, charge_request, record

MAX_PER_RUN = 100
RESOLVER = "resolver"


@dataclass(frozen=True, slots=True)
class ResolverReport:
    """What one run did; `stopped_early` when time ran out before the queue did.

    `failed` payments met a fault of ours: the log has it, and a later run tries them again.
    """

    due: int
    resolved: int
    waiting: int
    failed: int
    stopped_early: bool


def resolve_due(desk: PaymentDesk, store: Store, request_id: str) -> ResolverReport:
    """Ask about every due payment, oldest first, while the invocation has time for another one."""
    due = desk.payments.due(desk.clock(), MAX_PER_RUN)
    resolved = waiting = failed = 0
    for payment_id in due:
        if store.remaining_seconds() < 2 * desk.timing.processor_timeout_seconds:
            return ResolverReport(len(due), resolved, waiting, failed, stopped_early=True)
        try:
            if _resolve(payment_id, desk, store, request_id):
                resolved += 1
            else:
                waiting += 1
        except Exception:  # noqa: BLE001 - one payment's fault must not keep the others waiting
            logger.exception("a payment could not be resolved", payment=payment_id)
            failed += 1
    return ResolverReport(len(due), resolved, waiting, failed, stopped_early=False)


def _resolve(payment_id: str, desk: PaymentDesk, store: Store, request_id: str) -> bool:
    now = desk.clock()
    payment = desk.payments.get(payment_id, EVERYBODY)
    if payment is None or not _may_be_taken(payment, now):
        return False
    try:
        leased = _lease(payment, now, desk, request_id)
        reply = _ask(leased, now, desk)
        if reply is None:
            return False
        merchant = desk.merchants.require(leased.merchant_id)
        claim = _open_claim(leased, store)
        asked_by = claim.request_id if claim else payment.request_id
        outcome = outcome_of(leased, reply, merchant, desk.clock(), request_id=asked_by)
        record(outcome, claim, token=new_id("out", now), desk=desk)
    except StaleWrite:
        return False
    return True


def _may_be_taken(payment: Payment, now: datetime) -> bool:
    if payment.status not in (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN):
        return False
    if payment.lease_owner is None or payment.lease_expires_at is None:
        return True
    return to_datetime(payment.lease_expires_at) <= now


def _lease(payment: Payment, now: datetime, desk: PaymentDesk, request_id: str) -> Payment:
    """Take the payment; if this run does not finish, a later one takes it. Raises StaleWrite."""
    lease = timedelta(seconds=2 * desk.timing.processor_timeout_seconds)
    owner = new_id("att", now)
    context = ChangeContext(changed_by=RESOLVER, request_id=request_id, cause=owner)
    leased = payment.model_copy(
        update={
            "version": payment.version + 1,
            "updated_at": to_instant(now),
            "lease_owner": owner,
            "lease_expires_at": to_instant(now + lease),
            "next_action_at": to_instant(now + lease),
            **context.stamp(),
        }
    )
    desk.payments.advance(payment, leased, token=owner)
    return leased


def _ask(payment: Payment, now: datetime, desk: PaymentDesk) -> ProcessorAnswer | None:
    """The processor's answer; None while it has none, or it is too early to call the charge off."""
    processor = desk.processors[payment.processor]
    timing = desk.timing
    longest = timedelta(
        seconds=timing.intent_lease_seconds
        + timing.processor_timeout_seconds
        + timing.resolver_margin_seconds
    )
    try:
        reply = processor.find(payment.id)
        if reply is None and absence_is_final(payment, now, longest):
            reply = processor.forbid(charge_request(payment, now)) or NOT_CHARGED
    except ProcessorUnknown:
        return None
    return reply


def _open_claim(payment: Payment, store: Store) -> IdempotencyRecord | None:
    claim = ClaimRepository(store).read(payment.claim_key)
    if claim is None or claim.resource_id != payment.id or claim.state is ClaimState.COMPLETED:
        return None
    return claim
