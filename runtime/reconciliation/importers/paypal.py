"""PayPal: settlement report (STL), one file per day and account.

Source: developer.paypal.com/docs/reports/sftp-reports/settlement-report and …/reference/tcodes.
Records are of several kinds: `CH` names the columns, `SB` is a line, others are not. Amounts
are unsigned hundredths of the currency, yen too; the column beside says debit (DR) or credit (CR).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Final

from runtime.core.echo import echoed
from runtime.reconciliation.importers.amounts import from_hundredths
from runtime.reconciliation.importers.dates import day
from runtime.reconciliation.importers.layout import Layout, Row, Unreadable
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.importers.references import references
from runtime.reconciliation.settlements.models import LineType, SettlementFormat

COLUMNS: Final = "CH"
"""Kind of the record with the column names."""
LINE: Final = "SB"
PREAMBLE: Final = frozenset({"RH", "FH", "SH"})
"""Kinds of the records before the one with the column names."""
_EVENTS: Final = {
    LineType.CAPTURE: "T0000 T0002 T0003 T0004 T0005 T0006 T0007 T0011 T0012 T0013",
    LineType.REFUND: "T1107",
    LineType.DISPUTE: "T1201",
    LineType.DISPUTE_REVERSAL: "T1202",
    LineType.FEE: "T0100 T0101 T0102 T0103 T0104 T0105 T0106 T0107 T1108",
    LineType.ADJUSTMENT: "T0200 T0201 T0202 T1110 T1111",
    LineType.PAYOUT: "T0400 T0401",
}
TYPES: Final[Mapping[str, LineType]] = MappingProxyType(
    {code: kind for kind, codes in _EVENTS.items() for code in codes.split()}
)
"""Type of a line by its transaction event code. Others are unclassified."""
_SIGNS: Final = {"CR": 1, "DR": -1}
_DISPUTES: Final = frozenset({LineType.DISPUTE, LineType.DISPUTE_REVERSAL})


class PayPalLayout(Layout):
    """The file as a whole is one settlement. A line's net is not in the file: gross less fee."""

    format: ClassVar = SettlementFormat.PAYPAL
    title: ClassVar = "PayPal"
    needed: ClassVar = (
        "Transaction ID",
        "Invoice ID",
        "PayPal Reference ID",
        "Transaction Event Code",
        "Transaction Initiation Date",
        "Transaction Completion Date",
        "Transaction Debit or Credit",
        "Gross Transaction Amount",
        "Gross Transaction Currency",
        "Fee Debit or Credit",
        "Fee Amount",
        "Fee Currency",
    )
    optional: ClassVar = ("Custom Field",)

    def _is_line(self, cells: Sequence[str]) -> bool:
        return bool(cells) and cells[0].strip() == LINE

    def _line(self, number: int, row: Row) -> ImportedLine:
        category = row.filled("Transaction Event Code").upper()
        kind = TYPES.get(category)
        currency = row.currency("Gross Transaction Currency")
        amount = _signed(row, "Gross Transaction Amount", "Transaction Debit or Credit", currency)
        fee = _fee(row, currency)
        return ImportedLine(
            number=number,
            identity=self._identity(row),
            type=kind,
            category=category,
            amount=amount,
            fee=fee,
            net=amount - fee,
            currency=currency,
            references=_references(row, kind),
            processed_date=_day(row, "Transaction Initiation Date"),
            settlement_date=_day(row, "Transaction Completion Date"),
        )

    def _own_identity(self, row: Row) -> str | None:
        """A conversion has one id for the rows of both currencies."""
        names = ("Transaction ID", "Transaction Event Code", "Gross Transaction Currency")
        return ":".join(row.filled(name) for name in names)

    def _payout_reference(self, row: Row) -> str | None:
        return None


def _signed(row: Row, column: str, direction: str, currency: str) -> int:
    said = row.filled(direction).upper()
    if said not in _SIGNS:
        raise Unreadable(f"{direction} {echoed(said)!r} is neither CR nor DR")
    return _SIGNS[said] * from_hundredths(column, row.filled(column), currency)


def _fee(row: Row, currency: str) -> int:
    """Positive for a cost."""
    if not row.text("Fee Amount").strip("0"):
        return 0
    charged_in = row.currency("Fee Currency")
    if charged_in != currency:
        raise Unreadable(f"Fee Currency {charged_in} differs from that of the amount, {currency}")
    return -_signed(row, "Fee Amount", "Fee Debit or Credit", currency)


def _references(row: Row, kind: LineType | None) -> References:
    own = row.filled("Transaction ID")
    return references(
        map(row.text, ("Invoice ID", "Custom Field")),
        (own, row.text("PayPal Reference ID")),
        dispute_id=own if kind in _DISPUTES else "",
    )


def _day(row: Row, column: str) -> str | None:
    """Of a time such as `2026/01/06 00:00:30 -0800`."""
    text = row.text(column).replace("/", "-")
    return day(column, text.replace(" -", "-").replace(" +", "+"))
