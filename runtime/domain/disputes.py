"""Disputes: what a processor's notification changes, whatever the order in which they come. Pure.

A dispute withdraws its amount and a fee when it is opened, and returns the amount when it is won.
Each is booked once. News may come twice, late, or before older news: what the end looks like does
not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from runtime.domain.ids import created_at
from runtime.domain.instants import to_instant
from runtime.domain.posting_ids import dispute_posting_id
from runtime.domain.processor_events import EventKind, ProcessorEvent
from runtime.models.payment import Dispute, DisputeStatus, Payment

DISPUTE_STATUS: Final = {
    EventKind.DISPUTE_OPENED: DisputeStatus.OPENED,
    EventKind.DISPUTE_WON: DisputeStatus.WON,
    EventKind.DISPUTE_LOST: DisputeStatus.LOST,
}


@dataclass(frozen=True, slots=True)
class DisputeStep:
    """What one notification changes: the dispute, and what must be booked now (minor units)."""

    dispute: Dispute
    withdrawn_minor: int = 0
    fee_minor: int = 0
    returned_minor: int = 0

    def booked_by(self, transfer_id: str) -> DisputeStep:
        """The step with the transfer that books it."""
        known = (*self.dispute.transfer_ids, transfer_id)
        return replace(self, dispute=self.dispute.model_copy(update={"transfer_ids": known}))


def dispute_step(payment: Payment, event: ProcessorEvent) -> DisputeStep | None:
    """What the notification changes of the payment's dispute; None: nothing is new."""
    assert event.dispute_id is not None, f"{event.id} is about no dispute"
    before = (payment.disputes or {}).get(event.dispute_id)
    known = before or Dispute(
        status=DisputeStatus.OPENED, amount=event.amount_minor, since=to_instant(event.at)
    )
    status = _status_after(before, DISPUTE_STATUS[event.kind])
    # Won before it was seen to be opened: nothing was taken that could be given back, yet.
    withdrawn = known.withdrawn or event.kind is not EventKind.DISPUTE_WON
    returned = withdrawn and status is DisputeStatus.WON
    fee = max(known.fee, event.fee_minor)
    after = known.model_copy(
        update={
            "status": status,
            "fee": fee if withdrawn else 0,
            "withdrawn": withdrawn,
            "returned": returned,
            "withheld": _withheld(payment, known, withdrawn=withdrawn, returned=returned),
        }
    )
    if after == before:
        return None
    return DisputeStep(
        dispute=after,
        withdrawn_minor=known.amount if withdrawn and not known.withdrawn else 0,
        fee_minor=after.fee - known.fee,
        returned_minor=known.amount if returned and not known.returned else 0,
    )


def next_posting_id(payment_id: str, dispute_id: str, dispute: Dispute) -> str:
    """The transfer that books the next step of the dispute."""
    since, step = dispute.since or to_instant(created_at(payment_id)), len(dispute.transfer_ids) + 1
    return dispute_posting_id(payment_id, dispute_id, since, step)


def changes_after(payment: Payment, dispute_id: str, step: DisputeStep) -> dict[str, object]:
    """The payment's own fields after the step."""
    before = (payment.disputes or {}).get(dispute_id)
    withheld = step.dispute.withheld - (before.withheld if before else 0)
    disputes = {**(payment.disputes or {}), dispute_id: step.dispute}
    still_open = any(each.status is DisputeStatus.OPENED for each in disputes.values())
    return {
        "disputes": disputes,
        "dispute_status": DisputeStatus.OPENED if still_open else step.dispute.status,
        "refundable_minor": payment.refundable_minor - withheld,
    }


def _status_after(before: Dispute | None, told: DisputeStatus) -> DisputeStatus:
    """Won and lost are final, whatever comes after them."""
    if before is None or before.status is DisputeStatus.OPENED:
        return told
    return before.status


def _withheld(payment: Payment, known: Dispute, *, withdrawn: bool, returned: bool) -> int:
    """What cannot be refunded because the dispute has taken it: as much as was still there."""
    if returned or not withdrawn:
        return 0
    if known.withdrawn:
        return known.withheld
    return min(known.amount, payment.refundable_minor)
