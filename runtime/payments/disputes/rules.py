"""Disputes: what must be booked so that the books match the processor. Pure.

A dispute withdraws an amount and a fee; both may come back, in part or in full, whatever its
outcome. The totals booked so far are stored with the dispute. A step is the difference between
them and the processor's current totals. The processor is asked each time, so events that arrive
twice, late or out of order give the same result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from runtime.core.ids import created_at
from runtime.core.timestamps import to_timestamp
from runtime.payments.models import Dispute, DisputeStatus, Payment
from runtime.payments.posting_ids import dispute_posting_id
from runtime.payments.processors.events import DisputeState


@dataclass(frozen=True, slots=True)
class DisputeStep:
    """The dispute after a step, and what must be booked for it now, in minor units.

    `taken_minor` and `fee_minor` leave the merchant's receivable; negative amounts return to it.
    """

    dispute: Dispute
    taken_minor: int = 0
    fee_minor: int = 0

    def booked_by(self, transfer_id: str) -> DisputeStep:
        """The step with the transfer that books it."""
        known = (*self.dispute.transfer_ids, transfer_id)
        return replace(self, dispute=self.dispute.model_copy(update={"transfer_ids": known}))


def dispute_step(payment: Payment, state: DisputeState) -> DisputeStep | None:
    """The step from the payment's dispute to the processor's state; None if nothing is new.

    An inquiry, for which no money has moved yet, is not recorded.
    """
    before = (payment.disputes or {}).get(state.id)
    moved = state.withdrawn_minor or state.reinstated_minor or state.fee_minor
    if before is None and not moved:
        return None
    known = before or Dispute(
        status=state.status, amount=state.amount_minor, since=to_timestamp(state.created_at)
    )
    after = known.model_copy(
        update={
            "status": state.status,
            "amount": state.amount_minor,
            "withdrawn": state.withdrawn_minor,
            "returned": state.reinstated_minor,
            # A fee that was learned from a settlement file is booked already.
            # One that a file has only returned so far was not booked.
            "fee": max(0, state.fee_minor - max(0, known.learned_fee)),
            "withheld": _withheld(payment, known, state),
        }
    )
    if after == before:
        return None
    return DisputeStep(
        dispute=after,
        taken_minor=_kept(after) - _kept(known),
        fee_minor=after.fee - known.fee,
    )


def next_posting_id(payment_id: str, dispute_id: str, dispute: Dispute) -> str:
    """The transfer that books the next step of the dispute."""
    since, step = (
        dispute.since or to_timestamp(created_at(payment_id)),
        len(dispute.transfer_ids) + 1,
    )
    return dispute_posting_id(payment_id, dispute_id, since, step)


def changes_after(payment: Payment, dispute_id: str, step: DisputeStep) -> dict[str, object]:
    """The payment's own fields after the step.

    Other disputes are withheld first from an amount that this one releases.
    """
    before = (payment.disputes or {}).get(dispute_id)
    withheld = step.dispute.withheld - (before.withheld if before else 0)
    disputes = {**(payment.disputes or {}), dispute_id: step.dispute}
    still_open = any(each.status is DisputeStatus.OPENED for each in disputes.values())
    changes: dict[str, object] = {
        "disputes": disputes,
        "dispute_status": DisputeStatus.OPENED if still_open else step.dispute.status,
    }
    if withheld >= 0:
        return {**changes, "refundable_minor": payment.refundable_minor - withheld}
    stepped = payment.model_copy(update={"disputes": disputes})
    return {**changes, **refundable_again(stepped, -withheld)}


def refundable_again(payment: Payment, amount: int) -> dict[str, object]:
    """The payment's fields once `amount` more of it becomes refundable.

    Amounts that a dispute took but could not withhold are withheld first. Otherwise they would be
    refunded to a customer whose bank already has them.
    """
    disputes, left = dict(payment.disputes or {}), amount
    for dispute_id, dispute in disputes.items():
        more = min(left, max(0, _kept(dispute) - dispute.withheld))
        if more:
            withheld = dispute.withheld + more
            disputes[dispute_id] = dispute.model_copy(update={"withheld": withheld})
            left -= more
    refundable: dict[str, object] = {"refundable_minor": payment.refundable_minor + left}
    return refundable if left == amount else {**refundable, "disputes": disputes}


def _kept(dispute: Dispute) -> int:
    """The amount that the customer's bank has now."""
    return dispute.withdrawn - dispute.returned


def _withheld(payment: Payment, known: Dispute, state: DisputeState) -> int:
    """The amount withheld from refunds for the dispute, at most what is refundable."""
    kept = max(0, state.withdrawn_minor - state.reinstated_minor)
    return min(kept, payment.refundable_minor + known.withheld)
