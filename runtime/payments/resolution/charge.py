"""Resolve one payment: its charge is unanswered, waits for its customer, or was never captured."""

from __future__ import annotations

from datetime import datetime

from runtime.core.errors import ProcessorUnknown, StaleWrite
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.merchants.models import MerchantProfile
from runtime.payments.charge.charge import charge_request, settle_charge, wait_for_customer
from runtime.payments.charge.outcome import NOT_CHARGED, list_keys
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import absence_is_final
from runtime.payments.resolution.action import resolve_action
from runtime.payments.resolution.authorization_expiry import expire_authorization
from runtime.payments.resolution.leases import (
    ResolutionResult,
    is_leased,
    lease_of,
    log_resolved,
)
from runtime.payments.rules import ActionRequired, ChargeReply
from runtime.payments.two_phase import open_claim

_UNANSWERED = (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN)


def resolve_payment(
    payment_id: str, deps: PaymentDependencies, request_id: str
) -> ResolutionResult:
    """Resolve one payment, if possible now."""
    now = deps.outside.now()
    payment = deps.payments.get(payment_id, UNRESTRICTED)
    if payment is not None and payment.status is PaymentStatus.REQUIRES_CAPTURE:
        voided = expire_authorization(payment, now, deps, request_id)
        return ResolutionResult.RESOLVED if voided else ResolutionResult.OVER
    if payment is not None and payment.status is PaymentStatus.REQUIRES_ACTION:
        return resolve_action(payment, deps, request_id)
    if payment is None or payment.status not in _UNANSWERED:
        return ResolutionResult.OVER
    if is_leased(payment, now):
        return ResolutionResult.OVER
    merchant = deps.merchants.require(payment.merchant_id)
    try:
        leased = _lease(payment, merchant, now, deps, request_id)
        reply = _ask(leased, now, deps)
        if reply is None:
            return ResolutionResult.WAITING
        claim = open_claim(leased.claim_key, leased.id, deps)
        asked_by = claim.request_id if claim else payment.request_id
        if isinstance(reply, ActionRequired):
            wait_for_customer(leased, reply, claim, merchant, deps)
        else:
            settle_charge(leased, reply, claim, merchant, deps, request_id=asked_by)
        log_resolved(leased, asked_by)
    except StaleWrite:
        return ResolutionResult.OVER
    return ResolutionResult.RESOLVED


def _lease(
    payment: Payment,
    merchant: MerchantProfile,
    now: datetime,
    deps: PaymentDependencies,
    request_id: str,
) -> Payment:
    """Lease the payment. Its status becomes unknown, as its request is gone. Raises StaleWrite."""
    status = PaymentStatus.UNKNOWN
    leased = payment.model_copy(
        update={
            **lease_of(payment, now, deps, request_id),
            **list_keys(payment, merchant, status),
            "status": status,
        }
    )
    deps.payments.advance(payment, leased, token=leased.cause)
    return leased


def _ask(payment: Payment, now: datetime, deps: PaymentDependencies) -> ChargeReply | None:
    """The processor's answer; None while the outcome is still unknown.

    A missing charge is final only once the request can no longer arrive and the processor has
    forbidden the reference.
    """
    processor = deps.connectors.of_payment(payment)
    request = charge_request(payment)
    try:
        reply = processor.find(request)
        if reply is None and absence_is_final(
            to_datetime(payment.created_at), now, deps.longest_request
        ):
            reply = processor.forbid(request) or NOT_CHARGED
    except ProcessorUnknown:
        return None
    return reply
