"""What the sandbox processor remembers of disputes and of refunds that came back.

Nothing happens at the sandbox by itself. Whoever keeps the merchant's `webhook_secret`, which is an
operator, tells it by a signed notification what has happened; the sandbox remembers that, and
answers from its memory when it is asked.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from runtime.domain.ids import new_id
from runtime.domain.instants import to_datetime, to_epoch_seconds, to_instant
from runtime.domain.processor_events import (
    DisputeState,
    EventKind,
    ProcessorEvent,
    RefundFate,
    RefundState,
)
from runtime.errors import Unavailable
from runtime.gateways.processors.sandbox_events import (
    DISPUTE_EVENTS,
    SandboxEvent,
    SandboxEventType,
)
from runtime.models.payment import DisputeStatus
from runtime.models.sandbox_charge import SandboxCharge
from runtime.repositories.sandbox_charges import CAPTURED, DISPUTE, REFUND, RETURNED

MAX_ATTEMPTS: Final = 10
"""Attempts to remember one piece of news about a dispute that others tell of meanwhile."""


class NewsMemory(Protocol):
    """Where the sandbox remembers disputes."""

    def recall(self, reference: str) -> SandboxCharge | None:
        """What is remembered for a reference."""
        ...

    def note(self, before: SandboxCharge | None, after: SandboxCharge, *, token: str) -> bool:
        """Remember what became of a dispute; False where somebody has said more meanwhile."""
        ...

    def bring_back(
        self, refund: SandboxCharge, event_id: str, changed_at: str, *, token: str
    ) -> None:
        """Let a refund come back from the customer's bank, once."""
        ...


def dispute_reference(account: str, dispute_id: str) -> str:
    """Under which a dispute is remembered: two accounts may call theirs alike."""
    return f"dispute#{account}#{dispute_id}"


def remember(
    told: SandboxEvent, account: str, memory: NewsMemory, now: datetime, kept: timedelta
) -> None:
    """Let what is told have happened at the sandbox. Raises Unavailable."""
    if told.type is SandboxEventType.REFUND_FAILED:
        refund = memory.recall(told.reference or "")
        if refund is not None and (refund.kind, refund.account) == (REFUND, account):
            token = new_id("sbt", now)
            memory.bring_back(refund, told.id, to_instant(now), token=token)
        return
    if told.type not in DISPUTE_EVENTS or told.dispute_id is None:
        return
    reference = dispute_reference(account, told.dispute_id)
    for _ in range(MAX_ATTEMPTS):
        before = memory.recall(reference)
        after = dispute_after(before, told, account, now, kept)
        if after is None or memory.note(before, after, token=new_id("sbt", now)):
            return
    raise Unavailable(f"dispute {told.dispute_id} changes too often; send it again")


def dispute_after(
    before: SandboxCharge | None,
    told: SandboxEvent,
    account: str,
    now: datetime,
    kept: timedelta,
) -> SandboxCharge | None:
    """The dispute's row after the news; None where they are older than what is known.

    A dispute that was decided is not open again; of two decisions the younger one holds. The whole
    amount is withdrawn when it is opened, and reinstated when it is won, unless the news say how
    much. What they do not say stays as it was.
    """
    assert told.dispute_id is not None, f"{told.id} is about no dispute"
    status = DISPUTE_EVENTS[told.type]
    if before is not None and not _is_newer(before, told, status):
        return None
    amount = told.amount if told.amount is not None else (before.amount if before else 0)
    fee = told.fee if told.fee is not None else (before.fee if before else 0)
    won = amount if status is DisputeStatus.WON else 0
    return SandboxCharge(
        reference=dispute_reference(account, told.dispute_id),
        kind=DISPUTE,
        charge=told.reference or (before.charge if before else None),
        charge_id=told.charge_id or (before.charge_id if before else None),
        account=account,
        state=status,
        processor_id=told.dispute_id,
        amount=amount,
        currency=told.currency or (before.currency if before else ""),
        fee=fee,
        reinstated=told.reinstated if told.reinstated is not None else won,
        changed_account=account,
        changed_at=to_instant(now),
        event_id=told.id,
        told_at=told.created,
        revision=(before.revision or 0) + 1 if before else 1,
        response_code=told.type,
        response_text="Told by a signed notification",
        created_at=before.created_at if before else to_instant(_at(told.created)),
        expires_at=to_epoch_seconds(now + kept),
    )


def _is_newer(before: SandboxCharge, told: SandboxEvent, status: DisputeStatus) -> bool:
    decided = before.state != DisputeStatus.OPENED
    if decided != (status is not DisputeStatus.OPENED):
        return not decided
    return told.created >= (before.told_at or 0)


def dispute_state(row: SandboxCharge) -> DisputeState:
    """The dispute as the sandbox says it is."""
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
    """The refund as the sandbox says it is."""
    fate = RefundFate.SUCCEEDED if row.state == CAPTURED else RefundFate.FAILED
    return RefundState(
        row.processor_id,
        fate,
        to_datetime(row.created_at),
        row.amount,
        row.currency,
        row.reference,
    )


def hint_about(row: SandboxCharge) -> ProcessorEvent | None:
    """The notification that was sent about the row's last change, or should have been."""
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
