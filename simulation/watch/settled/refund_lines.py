"""Refunds that processors have reported on: each is settled by its line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from runtime.reconciliation.settlements.models import LineType
from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import maps, text

_DONE: Final = ("succeeded", "settled")


class ReportedMovement(Protocol):
    """One line of a report."""

    @property
    def kind(self) -> LineType:
        """What it is about."""
        ...

    @property
    def payment_id(self) -> str | None:
        """Our payment."""
        ...

    @property
    def transaction_id(self) -> str | None:
        """Our refund, where it is about one."""
        ...


class ReportedPayout(Protocol):
    """What was paid out together; at rest its report is right."""

    @property
    def reference(self) -> str:
        """The processor's name for it."""
        ...

    @property
    def movements(self) -> Sequence[ReportedMovement]:
        """What it was made of."""
        ...


def refund_line_faults(rows: Rows, payouts: Iterable[ReportedPayout]) -> Faults:
    """Refunds that were booked and paid out, and are in no settlement.

    Those of payments about whose lines a person has decided are as the decision has them.
    """
    transactions = rows.by_id("transactions")
    decided = {
        text(line, "payment_id")
        for line in rows.of("settlement_lines")
        if "M" in line.get("resolution", {})
    }
    for payout in payouts:
        for movement in payout.movements:
            refund = transactions.get(movement.transaction_id or "")
            if movement.kind is not LineType.REFUND or refund is None:
                continue
            was_booked = any(text(step, "status") in _DONE for step in maps(refund, "audit_trail"))
            is_open = not text(refund, "settlement_id") and movement.payment_id not in decided
            if was_booked and is_open:
                yield f"{movement.transaction_id} is a line of {payout.reference}, and unsettled"
