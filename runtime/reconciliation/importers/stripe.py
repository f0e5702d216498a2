"""Stripe: payout reconciliation, balance change from activity and payouts, itemized.

Sources: docs.stripe.com/reports/report-types/payout-reconciliation, …/balance and
docs.stripe.com/reports/reporting-categories. Amounts are major units; a positive fee is a cost;
money going out is negative. A partial capture is listed as the whole charge and a negative
`partial_capture_reversal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from runtime.reconciliation.importers.amounts import minor_units
from runtime.reconciliation.importers.dates import day
from runtime.reconciliation.importers.layout import Layout, Row, check_sum
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.importers.references import references
from runtime.reconciliation.settlements.models import LineType, SettlementFormat

WRITTEN_DECIMALS: Final[Mapping[str, int]] = MappingProxyType({"ISK": 2, "UGX": 2})
"""Where Stripe's number of decimals differs from ISO 4217's (docs.stripe.com/currencies)."""
_CATEGORIES: Final = {
    LineType.CAPTURE: "charge charge_failure partial_capture_reversal",
    LineType.REFUND: "refund",
    LineType.REFUND_FAILURE: "refund_failure",
    LineType.DISPUTE: "dispute",
    LineType.DISPUTE_REVERSAL: "dispute_reversal",
    LineType.FEE: "fee network_cost tax",
    LineType.ADJUSTMENT: (
        "risk_reserved_funds other_adjustment transfer transfer_reversal topup topup_reversal "
        "platform_earning platform_earning_refund advance advance_funding "
        "financing_paydown financing_paydown_reversal financing_payout financing_payout_reversal "
        "issuing_authorization_hold issuing_authorization_release issuing_disbursement "
        "issuing_dispute issuing_dispute_fraud_liability_debit issuing_dispute_provisional_credit "
        "issuing_dispute_provisional_credit_reversal issuing_transaction "
        "connect_collection_transfer connect_reserved_funds"
    ),
    LineType.PAYOUT: "payout payout_reversal",
}
TYPES: Final[Mapping[str, LineType]] = MappingProxyType(
    {name: kind for kind, names in _CATEGORIES.items() for name in names.split()}
)
"""Type of a line by its reporting category. Others are unclassified."""
_DISPUTES: Final = frozenset({LineType.DISPUTE, LineType.DISPUTE_REVERSAL})
_PAYOUT_IDS = ("automatic_payout_id", "payout_id")
_WRITTEN_BY_US = ("payment_metadata[reference]", "refund_metadata[reference]")
_PROCESSOR_IDS = ("source_id", "charge_id", "payment_intent_id")


class StripeLayout(Layout):
    """One settlement per payout; lines in no automatic payout belong to the file."""

    format: ClassVar = SettlementFormat.STRIPE
    title: ClassVar = "Stripe"
    needed: ClassVar = (
        "balance_transaction_id",
        "reporting_category",
        "currency",
        "gross",
        "fee",
        "net",
    )
    one_of: ClassVar = (_PAYOUT_IDS, (*_WRITTEN_BY_US, *_PROCESSOR_IDS, "payout_id"))
    optional: ClassVar = (
        "customer_facing_amount",
        "customer_facing_currency",
        "created_utc",
        "created",
        "automatic_payout_effective_at_utc",
        "automatic_payout_effective_at",
        "effective_at_utc",
        "effective_at",
    )

    def _line(self, number: int, row: Row) -> ImportedLine:
        category = row.filled("reporting_category").lower()
        kind = TYPES.get(category)
        currency = row.currency("currency")
        amount, fee, net = (_amount(row, name, currency) for name in ("gross", "fee", "net"))
        check_sum(("gross", "fee", "net"), amount, fee, net)
        presented_amount, presented_currency = _presented(row, amount, currency)
        return ImportedLine(
            number=number,
            identity=row.filled("balance_transaction_id"),
            type=kind,
            category=category,
            amount=amount,
            fee=fee,
            net=net,
            currency=currency,
            references=_references(row, kind),
            payout_reference=self._payout_reference(row),
            presented_amount=presented_amount,
            presented_currency=presented_currency,
            processed_date=_day(row, ("created_utc", "created", "effective_at_utc")),
            settlement_date=_day(
                row,
                (
                    "automatic_payout_effective_at_utc",
                    "automatic_payout_effective_at",
                    "effective_at_utc",
                    "effective_at",
                ),
            ),
        )

    def _own_identity(self, row: Row) -> str | None:
        return row.filled("balance_transaction_id")

    def _payout_reference(self, row: Row) -> str | None:
        return next(filter(None, map(row.text, _PAYOUT_IDS)), None)


def _amount(row: Row, column: str, currency: str) -> int:
    return minor_units(column, row.filled(column), currency, WRITTEN_DECIMALS.get(currency))


def _presented(row: Row, amount: int, currency: str) -> tuple[int | None, str | None]:
    """What the customer was charged, in another currency; with the sign of the line's amount.

    Reports give it without a sign or with the line's, by kind and version.
    """
    text = row.text("customer_facing_amount")
    if not text or not row.text("customer_facing_currency"):
        return None, None
    shown = row.currency("customer_facing_currency")
    if shown == currency:
        return None, None
    size = abs(minor_units("customer_facing_amount", text, shown, WRITTEN_DECIMALS.get(shown)))
    return (-size if amount < 0 else size), shown


def _references(row: Row, kind: LineType | None) -> References:
    return references(
        map(row.text, _WRITTEN_BY_US),
        map(row.text, _PROCESSOR_IDS),
        dispute_id=row.text("source_id") if kind in _DISPUTES else "",
    )


def _day(row: Row, columns: Iterable[str]) -> str | None:
    """The first non-empty one.

    A column without `_utc` is in the report's time zone, which the file does not name: its day is
    used unchanged.
    """
    return next(filter(None, (day(column, row.text(column)) for column in columns)), None)
