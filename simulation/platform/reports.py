"""Settlement lines as the cells that a processor would have written them in: not the readers' code.

Each layout's function gives the cells of one line by the names of its columns; `table` puts lines
under a header. Our own layout and Stripe's: tests have those of others.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from runtime.core.currency import DECIMALS
from runtime.reconciliation.importers.line import ImportedLine

Cells = Mapping[str, str]

CANONICAL_HEADER: Final = (
    "payment_id",
    "transaction_id",
    "status",
    "amount",
    "fee",
    "net",
    "currency",
    "processed_date",
    "settlement_date",
    "type",
)
STRIPE_HEADER: Final = (
    "automatic_payout_id",
    "automatic_payout_effective_at_utc",
    "balance_transaction_id",
    "created_utc",
    "available_on_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "description",
    "customer_facing_amount",
    "customer_facing_currency",
    "charge_id",
    "payment_intent_id",
    "payment_metadata[reference]",
    "refund_metadata[reference]",
    "dispute_reason",
)


def major(amount_minor: int, currency: str, written: int | None = None) -> str:
    """Minor units as a decimal text with `written` decimals, or as many as ISO 4217 has."""
    decimals = DECIMALS[currency] if written is None else written
    exact = Decimal(amount_minor).scaleb(-DECIMALS[currency])
    text = f"{exact:.{decimals}f}"
    assert Decimal(text) == exact, f"{amount_minor} {currency} cannot be written so"
    return text


def canonical(line: ImportedLine) -> dict[str, str]:
    """Cells of our own layout."""
    ours = line.references
    return {
        "payment_id": ours.payment_id or "",
        "transaction_id": ours.dispute_id or ours.transaction_id or "",
        "status": line.status,
        "amount": str(line.amount),
        "fee": str(line.fee),
        "net": str(line.net),
        "currency": line.currency,
        "processed_date": line.processed_date or "",
        "settlement_date": line.settlement_date or "",
        "type": line.category,
    }


def stripe(line: ImportedLine) -> dict[str, str]:
    """Cells of Stripe's payout reconciliation. `processor_ids`: source, charge, intent."""
    source, charge, intent = (*line.references.processor_ids, "", "", "")[:3]
    presented = line.presented_currency
    return {
        "automatic_payout_id": line.payout_reference or "",
        "automatic_payout_effective_at_utc": midnight(line.settlement_date),
        "balance_transaction_id": line.identity,
        "created_utc": midnight(line.processed_date),
        "currency": line.currency.lower(),
        "gross": major(line.amount, line.currency),
        "fee": major(line.fee, line.currency),
        "net": major(line.net, line.currency),
        "reporting_category": line.category,
        "source_id": source,
        "customer_facing_amount": major(line.presented_amount or 0, presented) if presented else "",
        "customer_facing_currency": (presented or "").lower(),
        "charge_id": charge,
        "payment_intent_id": intent,
        "payment_metadata[reference]": line.references.payment_id or "",
        "refund_metadata[reference]": line.references.transaction_id or "",
    }


def table(
    header: Sequence[str], rows: Iterable[Cells], *, delimiter: str = ",", line_end: str = "\n"
) -> str:
    """A delimited file; cells that a row does not name are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", delimiter=delimiter, lineterminator=line_end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def midnight(day: str | None) -> str:
    """A day as the reports write it: its first second; empty for None."""
    return f"{day} 00:00:00" if day else ""
