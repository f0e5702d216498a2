"""Resolve one payment: its charge is unanswered, or its authorization has expired."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from runtime.core.change_context import ChangeContext
from runtime.core.errors import ProcessorUnknown, StaleWrite
from runtime.core.observability import logger
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.merchants.models import MerchantProfile
from runtime.payments.charge.charge import charge_request, settle_charge
from runtime.payments.charge.outcome import NOT_CHARGED, list_keys
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import absence_is_final, retry_delay
from runtime.payments.resolution.authorization_expiry import expire_authorization
from runtime.payments.rules import ProcessorAnswer
from runtime.payments.transaction_models import Transaction

RESOLVER = "resolver"
_UNANSWERED = (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN)


class ResolutionResult(StrEnum):
    """The result for a due payment or operation. `over`: there was nothing left to do."""

    RESOLVED = "resolved"
    WAITING = "waiting"
    OVER = "over"


def resolve_payment(
    payment_id: str, deps: PaymentDependencies, request_id: str
) -> ResolutionResult:
    """Resolve one payment, if possible now."""
    now = deps.outside.now()
    payment = deps.payments.get(payment_id, UNRESTRICTED)
    if payment is not None and payment.status is PaymentStatus.REQUIRES_CAPTURE:
        voided = expire_authorization(payment, now, deps, request_id)
        return ResolutionResult.RESOLVED if voided else ResolutionResult.OVER
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
        settle_charge(leased, reply, claim, merchant, deps, request_id=asked_by)
        log_resolved(leased, asked_by)
    except StaleWrite:
        return ResolutionResult.OVER
    return ResolutionResult.RESOLVED


def log_resolved(row: Payment | Transaction, asked_by: str) -> None:
    """Log that an outcome is known; `asked_by`: the request that waited for it."""
    logger.info(
        "an unknown outcome is resolved",
        payment=row.payment_id if isinstance(row, Transaction) else row.id,
        request_id=asked_by,
    )


def is_leased(row: Payment | Transaction, now: datetime) -> bool:
    """Whether another process may still be working on it."""
    if row.lease_owner is None or row.lease_expires_at is None:
        return False
    return to_datetime(row.lease_expires_at) > now


def lease_of(
    row: Payment | Transaction, now: datetime, deps: PaymentDependencies, request_id: str
) -> dict[str, object]:
    """The fields that lease `row` to this run. Once the lease expires, another run may take it."""
    owner = deps.outside.new_id("att", now)
    context = ChangeContext(changed_by=RESOLVER, request_id=request_id, cause=owner)
    wait = retry_delay(now - to_datetime(row.created_at), deps.resolver_lease)
    return {
        "version": row.version + 1,
        "updated_at": to_timestamp(now),
        "lease_owner": owner,
        "lease_expires_at": to_timestamp(now + deps.resolver_lease),
        "next_action_at": to_timestamp(now + wait),
        **context.stamp(),
    }


def open_claim(
    claim_key: str | None, resource_id: str, deps: PaymentDependencies
) -> IdempotencyRecord | None:
    """The idempotency claim that awaits the answer for this resource."""
    claim = deps.claims.read(claim_key) if claim_key is not None else None
    if claim is None or claim.resource_id != resource_id or claim.state is ClaimState.COMPLETED:
        return None
    return claim


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


def _ask(payment: Payment, now: datetime, deps: PaymentDependencies) -> ProcessorAnswer | None:
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
