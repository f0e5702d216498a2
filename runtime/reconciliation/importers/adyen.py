"""Adyen: settlement details report.

Sources: docs.adyen.com/reporting/settlement-reconciliation/transaction-level/
settlement-details-report and …/journal-types. Amounts are unsigned major units: the column that is
filled gives the direction, never the type. The four cost columns are signed, positive for a cost;
`Payment Fees (NC)` is their total and is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import ClassVar, Final

from runtime.core.currency import DECIMALS
from runtime.core.echo import echoed
from runtime.reconciliation.importers.amounts import decimal_of, minor_units
from runtime.reconciliation.importers.dates import day_in_zone
from runtime.reconciliation.importers.layout import Layout, Row, Unreadable, check_sum
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.importers.references import references
from runtime.reconciliation.settlements.models import LineType, SettlementFormat

WRITTEN_DECIMALS: Final[Mapping[str, int]] = MappingProxyType(
    {"CLP": 2, "ISK": 2, "CVE": 0, "IDR": 0}
)
"""Where Adyen's decimals differ from ISO 4217's (docs.adyen.com/development-resources/
currency-codes)."""
_TYPES: Final = {
    LineType.CAPTURE: "settled",
    LineType.REFUND: "refunded",
    LineType.REFUND_FAILURE: "refundedreversed",
    LineType.DISPUTE: "chargeback secondchargeback",
    LineType.DISPUTE_REVERSAL: "chargebackreversed",
    LineType.FEE: "fee authorisationschemefee paymentcost misccosts invoicededuction",
    LineType.ADJUSTMENT: (
        "depositcorrection balancetransfer manualcorrected matchedstatement reserveadjustment"
    ),
    LineType.PAYOUT: "merchantpayout internalcompanypayout bankinstructionreturned",
}
TYPES: Final[Mapping[str, LineType]] = MappingProxyType(
    {name: kind for kind, names in _TYPES.items() for name in names.split()}
)
"""Type of a line by its journal type in lower case. Others are unclassified."""
ELSEWHERE: Final = ("externallywithinfo", "externally")
"""Ends of types of payments that another acquirer settled."""
COSTS: Final = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
GROSS: Final = ("Gross Debit (GC)", "Gross Credit (GC)")
NET: Final = ("Net Debit (NC)", "Net Credit (NC)")
_DISPUTES: Final = frozenset({LineType.DISPUTE, LineType.DISPUTE_REVERSAL})


class AdyenLayout(Layout):
    """One settlement per merchant account and batch number."""

    format: ClassVar = SettlementFormat.ADYEN
    title: ClassVar = "Adyen"
    needed: ClassVar = (
        "Merchant Account",
        "Psp Reference",
        "Merchant Reference",
        "Creation Date",
        "TimeZone",
        "Type",
        "Modification Reference",
        "Gross Currency",
        *GROSS,
        "Exchange Rate",
        "Net Currency",
        *NET,
        *COSTS,
        "Batch Number",
    )
    optional: ClassVar = (
        "Modification Merchant Reference",
        "Booking Date",
        "Booking Date TimeZone",
        "Dispute Reference",
    )

    def _line(self, number: int, row: Row) -> ImportedLine:
        category = row.filled("Type")
        kind = TYPES.get(_plain(category))
        currency = row.currency("Net Currency")
        net = _signed(row, NET, currency)
        if net is None:
            raise Unreadable(f"neither {NET[0]} nor {NET[1]} is filled")
        fee = sum(_amount(row, name, currency) for name in COSTS if row.text(name))
        amount, presented_amount, presented_currency = _gross(row, net + fee, currency)
        check_sum(("gross", "costs", "net"), amount, fee, net)
        return ImportedLine(
            number=number,
            identity=self._identity(row),
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
            processed_date=_day(row, "Creation Date", "TimeZone"),
            settlement_date=_day(row, "Booking Date", "Booking Date TimeZone"),
        )

    def _own_identity(self, row: Row) -> str | None:
        psp = row.text("Psp Reference")
        if not psp:
            return None
        return f"{psp}:{row.text('Modification Reference')}:{row.text('Type').lower()}"

    def _payout_reference(self, row: Row) -> str | None:
        return f"{row.filled('Merchant Account')}/{row.filled('Batch Number')}"


def _plain(category: str) -> str:
    name = category.lower()
    for ending in ELSEWHERE:
        name = name.removesuffix(ending)
    return name


def _amount(row: Row, column: str, currency: str) -> int:
    return minor_units(column, row.filled(column), currency, WRITTEN_DECIMALS.get(currency))


def _signed(row: Row, columns: tuple[str, str], currency: str) -> int | None:
    """Credit less debit, of which at most one is not zero; None if both are empty."""
    debit, credit = columns
    amounts = {name: _amount(row, name, currency) for name in columns if row.text(name)}
    for name, amount in amounts.items():
        if amount < 0:
            raise Unreadable(f"{name} {row.text(name)} is negative; these columns have no sign")
    if len([amount for amount in amounts.values() if amount]) > 1:
        raise Unreadable(f"both {debit} and {credit} are filled")
    return amounts.get(credit, 0) - amounts.get(debit, 0) if amounts else None


def _gross(row: Row, by_net: int, currency: str) -> tuple[int, int | None, str | None]:
    """The gross amount in the net currency, and as presented if that is another currency.

    `by_net` is net and costs: the expected amount by the rest of the line, and the amount if lines
    of a whole batch leave the gross columns empty.
    """
    if not any(row.text(name) for name in GROSS):
        return by_net, None, None
    presented_currency = row.currency("Gross Currency")
    presented = _signed(row, GROSS, presented_currency)
    assert presented is not None
    if presented_currency == currency:
        return presented, None, None
    _check_rate(row, presented, presented_currency, by_net, currency)
    return by_net, presented, presented_currency


def _check_rate(row: Row, presented: int, shown_in: str, by_net: int, currency: str) -> None:
    """The exchange rate must convert the presented amount to that of the line.

    Its last digit is rounded: the tolerance is that, and one minor unit. Lines of other
    acquirers have no rate.
    """
    text = row.text("Exchange Rate")
    if not text:
        return
    rate = decimal_of("Exchange Rate", text)
    last_digit = Decimal(1).scaleb(-len(text.partition(".")[2]))
    scale = DECIMALS[currency] - DECIMALS[shown_in]
    converted = (presented * rate).scaleb(scale)
    allowed = 1 + (abs(presented) * last_digit).scaleb(scale)
    if abs(converted - by_net) > allowed:
        raise Unreadable(
            f"{presented} {shown_in} at the rate {echoed(text)} is not {by_net} {currency}, "
            "which net and costs add up to (minor units)"
        )


def _references(row: Row, kind: LineType | None) -> References:
    modification = row.text("Modification Reference")
    psp = row.text("Psp Reference")
    return references(
        map(row.text, ("Merchant Reference", "Modification Merchant Reference")),
        (modification, psp) if psp else (),
        dispute_id=(row.text("Dispute Reference") or modification) if kind in _DISPUTES else "",
    )


def _day(row: Row, column: str, zone: str) -> str | None:
    return day_in_zone(column, row.text(column), zone, row.text(zone))
