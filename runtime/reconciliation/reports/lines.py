"""The lines of a settlement as CSV rows for a spreadsheet. Pure."""

from __future__ import annotations

from typing import Final

from runtime.core.money import decimal_text
from runtime.reconciliation.settlements.models import SettlementLine

COLUMNS: Final = (
    "line",
    "file_id",
    "file_line",
    "type",
    "category",
    "status",
    "reason",
    "amount",
    "fee",
    "net",
    "currency",
    "expected_amount",
    "expected_fee",
    "expected_currency",
    "expected_status",
    "presented_amount",
    "presented_currency",
    "payment_id",
    "transaction_id",
    "dispute_id",
    "processor_ids",
    "processed_date",
    "settlement_date",
    "resolution",
    "resolution_note",
    "resolved_by",
    "resolved_at",
)
"""Amounts are decimals of their currency, such as -12.34: what a spreadsheet adds up."""


def line_cells(line: SettlementLine) -> list[str | int | None]:
    """The cells of one line, in the order of COLUMNS."""
    ours, resolution = line.expected, line.resolution
    cells: dict[str, str | int | None] = {
        **line.model_dump(mode="json", include=set(COLUMNS)),
        "processor_ids": " ".join(line.processor_ids),
        "amount": _decimal(line.amount, line.currency),
        "fee": _decimal(line.fee, line.currency),
        "net": _decimal(line.net, line.currency),
        "presented_amount": _decimal(line.presented_amount, line.presented_currency),
    }
    if ours is not None:
        cells |= {
            "expected_amount": _decimal(ours.amount, ours.currency),
            "expected_fee": _decimal(ours.fee, ours.currency),
            "expected_currency": ours.currency,
            "expected_status": ours.status,
        }
    if resolution is not None:
        cells |= {
            "resolution": resolution.action,
            "resolution_note": resolution.note,
            "resolved_by": resolution.by,
            "resolved_at": resolution.at,
        }
    return [cells.get(name) for name in COLUMNS]


def _decimal(amount: int | None, currency: str | None) -> str | None:
    return None if amount is None or currency is None else decimal_text(amount, currency)
