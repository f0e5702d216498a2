"""The demo's settlement file, as Stripe would write it for the demo's payments."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from runtime.core.money import decimal_text

HEADER: Final = (
    "automatic_payout_id",
    "automatic_payout_effective_at_utc",
    "balance_transaction_id",
    "created_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "payment_metadata[reference]",
    "refund_metadata[reference]",
)
WRONG_CURRENCY: Final = "USD"
ACCOUNT_FEE: Final = 200
"""Minor units charged by the processor for the account, in the currency of the wrong line."""
SHORT_BY: Final = 100
"""Minor units by which the wrong line is below the booked amount."""
_CATEGORIES: Final = {"capture": "charge", "refund": "refund"}


@dataclass(frozen=True)
class PayoutFile:
    """A file with one payout per currency, and its expected result.

    `paid` by currency in minor units; the transaction whose line is short, and its currency.
    """

    name: str
    content: bytes
    paid: dict[str, int]
    lines: dict[str, int]
    wrong_transaction: str
    wrong_currency: str


@dataclass
class _Draft:
    day: str
    rows: list[dict[str, str]] = field(default_factory=list)
    net: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    count: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    payouts: dict[str, str] = field(default_factory=dict)

    def add(self, category: str, currency: str, amount: int, fee: int, **references: str) -> None:
        """One line of a payout; `amount` and `fee` in minor units."""
        payout = self.payouts.setdefault(currency, f"po_{uuid4().hex[:24]}")
        figures = {"gross": amount, "fee": fee, "net": amount - fee}
        self.rows.append(
            {
                "automatic_payout_id": payout,
                "automatic_payout_effective_at_utc": f"{self.day} 00:00:00",
                "balance_transaction_id": f"txn_{uuid4().hex[:24]}",
                "created_utc": f"{self.day} 00:00:00",
                "currency": currency.lower(),
                "reporting_category": category,
                **{name: decimal_text(value, currency) for name, value in figures.items()},
                **references,
            }
        )
        if category != "payout":
            self.net[currency] += amount - fee
            self.count[currency] += 1


def payout_file(payments: Sequence[Any], *, short_by: int = SHORT_BY) -> PayoutFile:
    """Every capture and refund of `payments` (as the API shows them), a fee, and the payouts.

    The last capture in WRONG_CURRENCY is `short_by` minor units below the booked amount; its
    lines still explain the payout.
    """
    draft = _Draft(datetime.now(UTC).date().isoformat())
    settled = [
        each
        for payment in payments
        for each in payment["transactions"]
        if each["type"] in _CATEGORIES and each["status"] == "succeeded"
    ]
    wrong = next(
        each
        for each in reversed(settled)
        if each["type"] == "capture" and each["currency"] == WRONG_CURRENCY
    )
    for each in settled:
        refund = each["type"] == "refund"
        amount = -each["amount"] if refund else each["amount"]
        draft.add(
            _CATEGORIES[each["type"]],
            each["currency"],
            amount - short_by if each is wrong else amount,
            each["fee"],
            **{
                "source_id": each["processor_id"],
                "payment_metadata[reference]": each["payment_id"],
                "refund_metadata[reference]": each["id"] if refund else "",
            },
        )
    draft.add("fee", wrong["currency"], -ACCOUNT_FEE, 0)
    paid = dict(draft.net)
    for currency, amount in paid.items():
        draft.add("payout", currency, -amount, 0)
    return PayoutFile(
        name=f"payouts-{draft.day}.csv",
        content=_csv(draft.rows),
        paid=paid,
        lines=dict(draft.count),
        wrong_transaction=wrong["id"],
        wrong_currency=wrong["currency"],
    )


def _csv(rows: Sequence[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, HEADER, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
