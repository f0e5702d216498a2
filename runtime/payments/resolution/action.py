"""Resolve one payment that waits for its customer: ask the processor, and book what it says.

The customer acts at the processor. We hear of it by a notification, from the sandbox's page, or by
asking, each perhaps twice or late, and all of them end here. The payment is read before the
processor is asked, and the commit checks its version, so that of concurrent answers one is booked.

When the time is over, the charge is voided at the processor first. It is only booked as canceled
once the processor confirms that, and then it cannot be approved any more. If the customer was
faster, the void is refused, and the approval is booked. If the void is refused although the charge
still waits, the processor is asked as before, and voids are tried again at growing intervals.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.errors import ProcessorUnknown, StaleWrite
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.payments.charge.charge import charge_request, settle_charge
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.rules import (
    PLATFORMS_VOIDS_BEFORE,
    retry_delay,
    void_is_due,
)
from runtime.payments.resolution.authorization_expiry import ACTION, void_now
from runtime.payments.resolution.leases import RESOLVER, ResolutionResult, log_resolved
from runtime.payments.rules import ActionRequired, ChargeReply, ProcessorAnswer
from runtime.payments.two_phase import open_claim

MAX_ATTEMPTS: Final = 10
"""Attempts to book one answer under concurrent writes. Each attempt asks the processor again."""


def resolve_action(
    payment: Payment, deps: PaymentDependencies, request_id: str
) -> ResolutionResult:
    """Resolve a payment that waits for its customer, if possible now.

    While its void is in progress nothing is done: the answer to the void decides.
    """
    for _ in range(MAX_ATTEMPTS):
        if payment.status is not PaymentStatus.REQUIRES_ACTION or payment.closing_id is not None:
            return ResolutionResult.OVER
        reply = _ask(payment, deps)
        try:
            if reply is None:
                _ask_later(payment, deps, request_id)
                return ResolutionResult.WAITING
            if isinstance(reply, ActionRequired):
                return _wait_or_void(payment, deps, request_id)
            _settle(payment, reply, deps, request_id)
        except StaleWrite:
            found = deps.payments.get(payment.id, Scope(payment.merchant_id))
            assert found is not None, f"{payment.id} does not exist; payments are never deleted"
            payment = found
        else:
            return ResolutionResult.RESOLVED
    return ResolutionResult.OVER


def _ask(payment: Payment, deps: PaymentDependencies) -> ChargeReply | None:
    """The processor's reply; None while it has none."""
    assert payment.charge_id is not None, f"{payment.id} was never charged"
    processor = deps.connectors.of_payment(payment)
    try:
        return processor.find_waiting(charge_request(payment), payment.charge_id)
    except ProcessorUnknown:
        return None


def _settle(
    payment: Payment, reply: ProcessorAnswer, deps: PaymentDependencies, request_id: str
) -> None:
    """Book the outcome, with the final answer of the request that created the payment."""
    merchant = deps.merchants.require(payment.merchant_id)
    claim = open_claim(payment.claim_key, payment.id, deps)
    asked_by = claim.request_id if claim else payment.request_id
    context = ChangeContext(changed_by=RESOLVER, request_id=request_id, cause=payment.id)
    settle_charge(payment, reply, claim, merchant, deps, request_id=asked_by, context=context)
    log_resolved(payment, asked_by)


def _wait_or_void(payment: Payment, deps: PaymentDependencies, request_id: str) -> ResolutionResult:
    """Wait while the customer has time; then void the charge. `waiting` after a refused void."""
    now = deps.outside.now()
    if now < _expiry(payment):
        _ask_later(payment, deps, request_id)
        return ResolutionResult.CUSTOMER
    if not _may_void(payment, now, deps):
        _ask_later(payment, deps, request_id)
        return ResolutionResult.WAITING
    voided = void_now(payment, ACTION, now, deps, request_id)
    return ResolutionResult.RESOLVED if voided else ResolutionResult.OVER


def _may_void(payment: Payment, now: datetime, deps: PaymentDependencies) -> bool:
    """Whether there is room for another void, and none was refused just before."""
    voids = payment.transaction_ids
    if not voids:
        return True
    last = deps.payments.transaction(voids[-1], Scope(payment.merchant_id))
    room = len(voids) < PLATFORMS_VOIDS_BEFORE[payment.status]
    return room and void_is_due(last, _expiry(payment), now)


def _ask_later(payment: Payment, deps: PaymentDependencies, request_id: str) -> None:
    """Postpone the next question, if this one was due. Raises StaleWrite."""
    now = deps.outside.now()
    assert payment.next_action_at is not None, f"{payment.id} is in no queue"
    if to_datetime(payment.next_action_at) > now:
        return
    later = now + retry_delay(now - to_datetime(payment.created_at), deps.resolver_lease)
    if now < _expiry(payment):
        later = min(later, _expiry(payment))
    cause = deps.outside.new_id("act", now)
    context = ChangeContext(changed_by=RESOLVER, request_id=request_id, cause=cause)
    changes = {"next_action_at": to_timestamp(later)}
    asked = payment.next_version(to_timestamp(now), changes, context)
    deps.payments.advance(payment, asked, token=cause)


def _expiry(payment: Payment) -> datetime:
    assert payment.action_expires_at is not None, f"{payment.id} waits without an end"
    return to_datetime(payment.action_expires_at)
