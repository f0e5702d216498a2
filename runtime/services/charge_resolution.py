"""One payment that somebody must come back to: its charge is unanswered, or its time is over."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from runtime.domain.instants import to_datetime, to_instant
from runtime.domain.payment_operations import absence_is_final, ask_again_after
from runtime.domain.payments import ProcessorAnswer
from runtime.errors import ProcessorUnknown, StaleWrite
from runtime.models.change import ChangeContext
from runtime.models.idempotency import ClaimState, IdempotencyRecord
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import Payment, PaymentStatus
from runtime.models.scope import EVERYBODY
from runtime.models.transaction import Transaction
from runtime.services.authorization_expiry import expire_authorization
from runtime.services.payment_desk import PaymentDesk
from runtime.services.payment_outcome import NOT_CHARGED, listed
from runtime.services.payments import charge_request, settle_charge

RESOLVER = "resolver"
_UNANSWERED = (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN)


class Fate(StrEnum):
    """What became of something that was due. `over`: it needed nothing (any more)."""

    RESOLVED = "resolved"
    WAITING = "waiting"
    OVER = "over"


def resolve_payment(payment_id: str, desk: PaymentDesk, request_id: str) -> Fate:
    """Finish one payment if it can be."""
    now = desk.outside.now()
    payment = desk.payments.get(payment_id, EVERYBODY)
    if payment is not None and payment.status is PaymentStatus.REQUIRES_CAPTURE:
        voided = expire_authorization(payment, now, desk, request_id)
        return Fate.RESOLVED if voided else Fate.OVER
    if payment is None or payment.status not in _UNANSWERED:
        return Fate.OVER
    if is_leased(payment, now):
        return Fate.OVER
    merchant = desk.merchants.require(payment.merchant_id)
    try:
        leased = _lease(payment, merchant, now, desk, request_id)
        reply = _ask(leased, now, desk)
        if reply is None:
            return Fate.WAITING
        claim = open_claim(leased.claim_key, leased.id, desk)
        asked_by = claim.request_id if claim else payment.request_id
        settle_charge(leased, reply, claim, merchant, desk, request_id=asked_by)
    except StaleWrite:
        return Fate.OVER
    return Fate.RESOLVED


def is_leased(row: Payment | Transaction, now: datetime) -> bool:
    """Whether somebody else may still be at work on it."""
    if row.lease_owner is None or row.lease_expires_at is None:
        return False
    return to_datetime(row.lease_expires_at) > now


def lease_of(
    row: Payment | Transaction, now: datetime, desk: PaymentDesk, request_id: str
) -> dict[str, object]:
    """The fields by which a run takes `row`; if it does not finish, a later one takes it."""
    owner = desk.outside.new_id("att", now)
    context = ChangeContext(changed_by=RESOLVER, request_id=request_id, cause=owner)
    wait = ask_again_after(now - to_datetime(row.created_at), desk.resolver_lease)
    return {
        "version": row.version + 1,
        "updated_at": to_instant(now),
        "lease_owner": owner,
        "lease_expires_at": to_instant(now + desk.resolver_lease),
        "next_action_at": to_instant(now + wait),
        **context.stamp(),
    }


def open_claim(
    claim_key: str | None, resource_id: str, desk: PaymentDesk
) -> IdempotencyRecord | None:
    """The claim that waits for the answer about this resource."""
    claim = desk.claims.read(claim_key) if claim_key is not None else None
    if claim is None or claim.resource_id != resource_id or claim.state is ClaimState.COMPLETED:
        return None
    return claim


def _lease(
    payment: Payment,
    merchant: MerchantProfile,
    now: datetime,
    desk: PaymentDesk,
    request_id: str,
) -> Payment:
    """Take the payment; whose request is gone is unknown from now on. Raises StaleWrite."""
    status = PaymentStatus.UNKNOWN
    leased = payment.model_copy(
        update={
            **lease_of(payment, now, desk, request_id),
            **listed(payment, merchant, status),
            "status": status,
        }
    )
    desk.payments.advance(payment, leased, token=leased.cause)
    return leased


def _ask(payment: Payment, now: datetime, desk: PaymentDesk) -> ProcessorAnswer | None:
    """The processor's answer; None while it has none, or it is too early to call the charge off.

    "Not found" is final only when the request cannot be on its way any more, and after the
    reference was forbidden there.
    """
    processor = desk.connectors.of_payment(payment)
    request = charge_request(payment)
    try:
        reply = processor.find(request)
        if reply is None and absence_is_final(
            to_datetime(payment.created_at), now, desk.longest_request
        ):
            reply = processor.forbid(request) or NOT_CHARGED
    except ProcessorUnknown:
        return None
    return reply
