"""What a line has settled, derived from its row, so that it can be reversed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime.payments.models import Dispute
from runtime.reconciliation.matching.flows import Amounts
from runtime.reconciliation.settlements.models import LineStatus, ResolutionAction, SettlementLine

_TAKEN_OVER: Final = (ResolutionAction.ACCEPT, ResolutionAction.WRITE_OFF)
"""Resolutions that book a difference in fees as such, and learn nothing."""


@dataclass(frozen=True, slots=True)
class DisputePart:
    """What a line settles of a dispute, in minor units; negative amounts reverse it."""

    amount: int
    fee: int
    learned_fee: int
    reversal: bool

    def added_to(self, dispute: Dispute) -> Dispute:
        """The dispute with this part of it settled."""
        which = "settled_returned" if self.reversal else "settled_withdrawn"
        return dispute.model_copy(
            update={
                which: getattr(dispute, which) + self.amount,
                "settled_fee": dispute.settled_fee + self.fee,
                "learned_fee": dispute.learned_fee + self.learned_fee,
            }
        )


def has_settled(line: SettlementLine) -> bool:
    """Whether a line has settled something of ours: it matched, or was resolved that way.

    A line that was accepted or written off against nothing of ours has no `expected`.
    """
    if line.resolution is None:
        return line.status is LineStatus.MATCHED
    if line.resolution.action in _TAKEN_OVER:
        return line.expected is not None
    return line.resolution.action is ResolutionAction.LINK


def payments_about(line: SettlementLine) -> tuple[str, ...]:
    """Ids of the payments that a line is about: its own; for a linked one, also the one before.

    A linked line still waits in the group of the payment before, in case the link is undone.
    """
    linked = line.resolution.linked if line.resolution is not None else None
    ids = (line.payment_id, linked.payment_id if linked is not None else None)
    return tuple(dict.fromkeys(each for each in ids if each is not None))


def settled_part(line: SettlementLine) -> tuple[Amounts, int]:
    """The amounts of a dispute that a line has settled, and how much of its fee was learned."""
    own = Amounts(amount=line.amount or 0, fee=line.fee or 0)
    if line.expected is None:
        return own, 0
    ours = Amounts(amount=line.expected.amount, fee=line.expected.fee)
    exchanged = line.expected.currency != line.currency
    taken_over = line.resolution is not None and line.resolution.action in _TAKEN_OVER
    return ours, 0 if exchanged or taken_over else own.fee - ours.fee
