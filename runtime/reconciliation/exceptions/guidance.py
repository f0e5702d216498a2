"""The meaning of each status of a settlement line, and what to do about it. Pure.

The report, the upload command and docs/reconciliation.md use the same texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runtime.reconciliation.settlements.models import LineStatus


@dataclass(frozen=True, slots=True)
class Guidance:
    """`title` for a heading, `meaning` in one sentence, and what to do (None: nothing)."""

    title: str
    meaning: str
    to_do: str | None = None


GUIDANCE: Final[Mapping[LineStatus, Guidance]] = {
    LineStatus.MATCHED: Guidance("Matched", "It equals what we have booked, and is settled."),
    LineStatus.AMOUNT_MISMATCH: Guidance(
        "Amount differs",
        "The payment was found, but the file names another amount. On a payout line: the payout "
        "is not the sum of its lines.",
        "Compare both amounts with the processor's dashboard. If the file is right, accept it: the "
        "difference is the merchant's. If the platform bears it, an operator writes it off. If the "
        "file is wrong, ask for a corrected one and upload it.",
    ),
    LineStatus.FEE_MISMATCH: Guidance(
        "Fee differs",
        "The amount agrees, but we knew another fee, or the fee is higher than the amount.",
        "Check the processor's price list. Accept to charge the merchant the file's fee, or have "
        "the difference written off.",
    ),
    LineStatus.CURRENCY_MISMATCH: Guidance(
        "Currency differs",
        "The payment was found in another currency, and the file does not name the amount that "
        "the customer was charged.",
        "Export the report with the customer-facing amount and currency, and upload it again.",
    ),
    LineStatus.STATUS_MISMATCH: Guidance(
        "Status differs",
        "The payment or refund did not succeed in our books, or the line itself is not settled.",
        "Check the payment and the status in the file. If either is still open, wait until it is "
        "final and upload the file again. Otherwise accept the line for the merchant, have it "
        "written off, or ignore it.",
    ),
    LineStatus.DUPLICATE: Guidance(
        "Duplicate",
        "The same line, or another line about the same payment, was already settled.",
        "If the processor really paid twice, accept it or have it written off; if it is the same "
        "payment in two files, ignore it.",
    ),
    LineStatus.UNEXPECTED: Guidance(
        "Not ours",
        "No payment of this merchant is found by any of its references.",
        "Look for the payment: it may belong to another merchant, or have been made directly at "
        "the processor. Link it to a transaction if there is one, else accept or ignore it.",
    ),
    LineStatus.UNCLASSIFIED: Guidance(
        "Unknown category",
        "The processor's category is not one that the platform knows, so nothing is booked.",
        "Find out what it is. Accept it as an adjustment of the merchant, have it written off, or "
        "ignore it.",
    ),
    LineStatus.INVALID: Guidance(
        "Unreadable",
        "The line could not be read, or its own amounts contradict each other. It is in no sum.",
        "Correct the file at its source, and upload it again under the same name.",
    ),
    LineStatus.EXPECTED: Guidance(
        "Expected", "In no file yet, and within the merchant's time limit. Not an exception."
    ),
    LineStatus.MISSING: Guidance(
        "Missing",
        "We have it, but no file named it within the merchant's time limit.",
        "Export the processor's next report; a late line is matched by itself. If it never comes, "
        "ask the processor, then accept it or have it written off.",
    ),
    LineStatus.SUPERSEDED: Guidance(
        "Superseded", "A later file names the same line, and that one counts."
    ),
}
