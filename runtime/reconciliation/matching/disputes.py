"""The counterpart of a line about a dispute: which of the payment's, and how much of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.core.echo import echoed
from runtime.payments.models import Dispute, Payment
from runtime.payments.posting_ids import charge_transaction_id
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.matching.flows import Amounts
from runtime.reconciliation.matching.rules import (
    AGAIN,
    Counterpart,
    Verdict,
    is_exchanged,
    stated,
)
from runtime.reconciliation.settlements.models import LineStatus, LineType


def dispute_counterparts(
    line: ImportedLine, payment_id: str, payment: Payment | None
) -> tuple[Counterpart, ...] | Verdict:
    """What the line settles of a dispute of the payment, or why it settles nothing."""
    disputes = (payment.disputes if payment is not None else None) or {}
    reversal = line.type is LineType.DISPUTE_REVERSAL
    dispute_id = _dispute_named(line, disputes, reversal=reversal)
    if payment is None or dispute_id is None:
        which = echoed(line.references.dispute_id) if line.references.dispute_id else ""
        return Verdict(
            LineStatus.STATUS_MISMATCH,
            f"dispute {which} of {payment_id} is not booked here yet; {AGAIN}".replace("  ", " "),
        )
    dispute = disputes[dispute_id]
    left = _left_of(dispute, reversal=reversal)
    if left == 0:
        return _nothing_left(dispute_id, dispute, reversal=reversal)
    amount = abs(stated(line)[0])
    # A repeated chargeback withdraws the same amount again, on its own line.
    ours = dispute.amount if amount == dispute.amount < left else left
    return (
        Counterpart(
            ours=Amounts(
                amount=ours if reversal else -ours,
                fee=_dispute_fee(line, dispute, ours),
            ),
            currency=payment.currency,
            payment_id=payment.id,
            status=dispute.status,
            dispute_id=dispute_id,
            reversal=reversal,
            least_fee=_least_fee(line, dispute, ours),
            charge_id=charge_transaction_id(payment.id),
        ),
    )


def _left_of(dispute: Dispute, *, reversal: bool) -> int:
    """The booked amount of a dispute, withdrawn or returned, that is in no settlement yet."""
    if reversal:
        return dispute.returned - dispute.settled_returned
    return dispute.withdrawn - dispute.settled_withdrawn


def _dispute_named(
    line: ImportedLine, disputes: Mapping[str, Dispute], *, reversal: bool
) -> str | None:
    """The dispute that the line refers to; else the payment's only one, or its only similar one."""
    named = line.references.dispute_id
    if named is not None:
        return named if named in disputes else None
    if len(disputes) == 1:
        return next(iter(disputes))
    amount = abs(stated(line)[0])
    alike = [
        name
        for name, each in disputes.items()
        if amount in (each.amount, _left_of(each, reversal=reversal))
    ]
    return alike[0] if len(alike) == 1 else None


def _dispute_fee(line: ImportedLine, dispute: Dispute, ours: int) -> int:
    """The booked fee that a line of a dispute settles.

    The fees of all its lines must add up to the finally booked fee: a fee that was charged and
    returned is not booked any more. So the last expected line has the rest. Any before it may have
    less, but settles no more than the rest: that goes back to the merchant's receivable, and more
    was never taken from it. Nor does it settle less than nothing: another line could then settle
    more than the rest, and keep it when this one is corrected.
    """
    left = dispute.fee - dispute.settled_fee
    if not _may_have_any_fee(line, dispute, ours):
        return left
    return max(min(left, 0), min(line.fee, max(left, 0)))


def _least_fee(line: ImportedLine, dispute: Dispute, ours: int) -> int:
    """The least fee of a line above the one that it settles; negative if it may return some.

    Above zero if a line has returned a fee that no other has charged: the last one must have it.
    """
    if _may_have_any_fee(line, dispute, ours):
        return -abs(line.amount)
    return -dispute.learned_fee


def _may_have_any_fee(line: ImportedLine, dispute: Dispute, ours: int) -> bool:
    """Whether other lines of the dispute may make up for this one's fee, up to its amount."""
    return (
        _awaited(dispute, ours) > 0 and not is_exchanged(line) and abs(line.fee) <= abs(line.amount)
    )


def _awaited(dispute: Dispute, ours: int) -> int:
    """The amount of a dispute that other lines have yet to settle after one of `ours`."""
    return _left_of(dispute, reversal=False) + _left_of(dispute, reversal=True) - ours


def _nothing_left(dispute_id: str, dispute: Dispute, *, reversal: bool) -> Verdict:
    booked = dispute.returned if reversal else dispute.withdrawn
    if booked:
        return Verdict(
            LineStatus.DUPLICATE, f"what is booked of dispute {echoed(dispute_id)} is settled"
        )
    what = "returned" if reversal else "withdrawn"
    return Verdict(
        LineStatus.STATUS_MISMATCH,
        f"dispute {echoed(dispute_id)} is {dispute.status} here, and nothing was {what} yet; "
        f"{AGAIN}",
    )
