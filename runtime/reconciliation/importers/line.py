"""The common form of a settlement line, independent of its layout. Pure.

Amounts are signed minor units of the line's currency, from the merchant's side: incoming amounts
are positive, outgoing ones (refunds, disputes, costs, payouts) are negative. A positive fee is a
cost. `amount - fee = net` holds for every line that was read.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.reconciliation.settlements.models import LineType

SETTLED = "settled"
"""The status of a final line. Only our own layout has a column for it."""


@dataclass(frozen=True, slots=True)
class References:
    """The references of a line: our own ids, and the processor's, in the order to try them."""

    payment_id: str | None = None
    transaction_id: str | None = None
    dispute_id: str | None = None
    processor_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """One readable line.

    `number` is the physical line of the file on which its record begins, from 1. `identity` is the
    same whenever the same line occurs again, in any file; for lines without an id
    it is their content, and the planner appends an ordinal to repetitions. `type` is None
    for a category that the layout's documentation does not list. `payout_reference` identifies the
    payout of the line; None if the file as a whole is one settlement.
    """

    number: int
    identity: str
    type: LineType | None
    category: str
    amount: int
    fee: int
    net: int
    currency: str
    references: References = References()
    payout_reference: str | None = None
    status: str = SETTLED
    presented_amount: int | None = None
    presented_currency: str | None = None
    processed_date: str | None = None
    settlement_date: str | None = None


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A line that cannot be read, or whose own amounts contradict each other, and why.

    `payout_reference` if at least that could be read.
    """

    number: int
    reason: str
    payout_reference: str | None = None
