"""Our own layout: minor units, one row per capture, refund, dispute, fee, adjustment or payout."""

from __future__ import annotations

from typing import ClassVar, Final

from runtime.reconciliation.importers.amounts import whole_minor_units
from runtime.reconciliation.importers.dates import day
from runtime.reconciliation.importers.layout import Layout, Row, check_sum
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import LineType, SettlementFormat

HEADER: Final = (
    "payment_id",
    "transaction_id",
    "status",
    "amount",
    "fee",
    "net",
    "currency",
    "processed_date",
    "settlement_date",
)
TYPE: Final = "type"
_TYPES: Final = {kind.value: kind for kind in LineType}
_OF_NO_PAYMENT: Final = frozenset({LineType.FEE, LineType.ADJUSTMENT, LineType.PAYOUT})
"""Rows of these types need neither a payment nor an id."""
_DISPUTES: Final = frozenset({LineType.DISPUTE, LineType.DISPUTE_REVERSAL})


class CanonicalLayout(Layout):
    """Nine columns and an optional `type`, `capture` when absent or empty.

    `transaction_id` is that of a capture or refund, the dispute's id in rows about a dispute, and
    any id of the sender for rows without a payment. The file as a whole is one settlement.
    """

    format: ClassVar = SettlementFormat.CANONICAL
    title: ClassVar = "this platform"
    needed: ClassVar = HEADER
    optional: ClassVar = (TYPE,)

    def _line(self, number: int, row: Row) -> ImportedLine:
        category = _category(row)
        kind = _TYPES.get(category)
        read = row.text if kind in _OF_NO_PAYMENT or kind is None else row.filled
        payment_id, transaction_id = read("payment_id"), read("transaction_id")
        status = row.filled("status")
        amount, fee, net = (
            whole_minor_units(name, row.filled(name)) for name in ("amount", "fee", "net")
        )
        currency = row.currency("currency", any_case=False)
        check_sum(("amount", "fee", "net"), amount, fee, net)
        about_dispute = kind in _DISPUTES
        return ImportedLine(
            number=number,
            identity=self._identity(row),
            type=kind,
            category=category,
            amount=amount,
            fee=fee,
            net=net,
            currency=currency,
            references=References(
                payment_id=payment_id or None,
                transaction_id=None if about_dispute else transaction_id or None,
                dispute_id=transaction_id if about_dispute else None,
            ),
            status=status,
            processed_date=day("processed_date", row.text("processed_date")),
            settlement_date=day("settlement_date", row.text("settlement_date")),
        )

    def _own_identity(self, row: Row) -> str | None:
        transaction_id = row.text("transaction_id")
        return f"{_category(row)}:{transaction_id}" if transaction_id else None

    def _payout_reference(self, row: Row) -> str | None:
        return None


def _category(row: Row) -> str:
    return row.text(TYPE).lower() or LineType.CAPTURE.value
