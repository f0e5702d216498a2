"""The sandbox processor's stored disputes and returned refunds.

Nothing happens at the sandbox by itself. An operator, who keeps the merchant's `webhook_secret`,
sends a signed notification of what has happened. The sandbox stores it, and answers later requests
from what it stored.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from runtime.core.errors import Unavailable
from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime, to_epoch_seconds, to_timestamp
from runtime.payments.models import DisputeStatus
from runtime.payments.processors.events import (
    DisputeState,
    EventKind,
    ProcessorEvent,
    RefundOutcome,
    RefundState,
)
from runtime.payments.processors.sandbox.events import (
    DISPUTE_EVENTS,
    SandboxEvent,
    SandboxEventType,
)
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import CAPTURED, DISPUTE, REFUND, RETURNED

MAX_ATTEMPTS: Final = 10
"""Attempts to store one event of a dispute under concurrent writes."""


class DisputeMemory(Protocol):
    """The sandbox's store for disputes and returned refunds."""

    def recall(self, reference: str) -> SandboxCharge | None:
        """The row stored for a reference."""
        ...

    def store_dispute(
        self, before: SandboxCharge | None, after: SandboxCharge, *, token: str
    ) -> bool:
        """Store a dispute's new state; False if it was changed concurrently."""
        ...

    def return_refund(
        self, refund: SandboxCharge, event_id: str, changed_at: str, *, token: str
    ) -> None:
        """Mark a refund as returned by the customer's bank, once."""
        ...


def dispute_reference(account: str, dispute_id: str) -> str:
    """The key of a dispute; it has the account because dispute ids may repeat across accounts."""
    return f"dispute#{account}#{dispute_id}"


def remember(
    event: SandboxEvent,
    account: str,
    memory: DisputeMemory,
    now: datetime,
    kept: timedelta,
    outside: Outside,
) -> None:
    """Store the state that the notification reports. Raises Unavailable."""
    if event.type is SandboxEventType.REFUND_FAILED:
        refund = memory.recall(event.reference or "")
        if refund is not None and (refund.kind, refund.account) == (REFUND, account):
            token = outside.new_id("sbt", now)
            memory.return_refund(refund, event.id, to_timestamp(now), token=token)
        return
    if event.type not in DISPUTE_EVENTS or event.dispute_id is None:
        return
    reference = dispute_reference(account, event.dispute_id)
    for _ in range(MAX_ATTEMPTS):
        before = memory.recall(reference)
        after = dispute_after(before, event, account, now, kept)
        if after is None or memory.store_dispute(before, after, token=outside.new_id("sbt", now)):
            return
    raise Unavailable(f"Dispute {event.dispute_id} is changing; send the notification again")


def dispute_after(
    before: SandboxCharge | None,
    event: SandboxEvent,
    account: str,
    now: datetime,
    kept: timedelta,
) -> SandboxCharge | None:
    """The dispute's row after the event; None if the event is older than the stored state.

    A decided dispute is not reopened; of two decisions the later one applies. The whole amount is
    withdrawn when the dispute is opened, and reinstated when it is won, unless the event gives an
    amount. Fields that the event does not have stay unchanged.
    """
    assert event.dispute_id is not None, f"{event.id} has no dispute id"
    status = DISPUTE_EVENTS[event.type]
    if before is not None and not _is_newer(before, event, status):
        return None
    amount = event.amount if event.amount is not None else (before.amount if before else 0)
    fee = event.fee if event.fee is not None else (before.fee if before else 0)
    won = amount if status is DisputeStatus.WON else 0
    return SandboxCharge(
        reference=dispute_reference(account, event.dispute_id),
        kind=DISPUTE,
        charge=event.reference or (before.charge if before else None),
        charge_id=event.charge_id or (before.charge_id if before else None),
        account=account,
        state=status,
        processor_id=event.dispute_id,
        amount=amount,
        currency=event.currency or (before.currency if before else ""),
        fee=fee,
        reinstated=event.reinstated if event.reinstated is not None else won,
        changed_account=account,
        changed_at=to_timestamp(now),
        event_id=event.id,
        told_at=event.created,
        revision=(before.revision or 0) + 1 if before else 1,
        response_code=event.type,
        response_text="Reported by a signed notification",
        created_at=before.created_at if before else to_timestamp(_at(event.created)),
        expires_at=to_epoch_seconds(now + kept),
    )


def _is_newer(before: SandboxCharge, event: SandboxEvent, status: DisputeStatus) -> bool:
    decided = before.state != DisputeStatus.OPENED
    if decided != (status is not DisputeStatus.OPENED):
        return not decided
    return event.created >= (before.told_at or 0)


def dispute_state(row: SandboxCharge) -> DisputeState:
    """The dispute's state at the sandbox."""
    return DisputeState(
        id=row.processor_id,
        status=DisputeStatus(row.state),
        created_at=to_datetime(row.created_at),
        currency=row.currency,
        amount_minor=row.amount,
        withdrawn_minor=row.amount,
        reinstated_minor=row.reinstated or 0,
        fee_minor=row.fee,
        charge_id=row.charge_id,
        reference=row.charge,
    )


def refund_state(row: SandboxCharge) -> RefundState:
    """The refund's state at the sandbox."""
    outcome = RefundOutcome.SUCCEEDED if row.state == CAPTURED else RefundOutcome.FAILED
    return RefundState(
        row.processor_id,
        outcome,
        to_datetime(row.created_at),
        row.amount,
        row.currency,
        row.reference,
    )


def hint_about(row: SandboxCharge) -> ProcessorEvent | None:
    """The notification that was, or should have been, sent for the row's last change."""
    if row.event_id is None or row.changed_at is None:
        return None
    at = to_datetime(row.changed_at)
    if row.kind == DISPUTE:
        kind, reference = EventKind.DISPUTE_CHANGED, row.charge
    elif row.state == RETURNED:
        kind, reference = EventKind.REFUND_FAILED, row.reference
    else:
        return None
    return ProcessorEvent(row.event_id, kind, at, row.charge_id, reference, row.processor_id)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
