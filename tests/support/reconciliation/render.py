"""Settlement lines as the cells of a processor's file, written without the code of the readers.

Each function returns the cells of one line by column name; `table` puts lines
under a header. Our own layout and Stripe's are those of the simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from runtime.core.currency import DECIMALS
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.settlements.models import SettlementFormat
from simulation.platform.reports import (
    CANONICAL_HEADER,
    STRIPE_HEADER,
    canonical,
    major,
    midnight,
    stripe,
)

ADYEN_HEADER: Final = (
    "Company Account",
    "Merchant Account",
    "Psp Reference",
    "Merchant Reference",
    "Payment Method",
    "Creation Date",
    "TimeZone",
    "Type",
    "Modification Reference",
    "Gross Currency",
    "Gross Debit (GC)",
    "Gross Credit (GC)",
    "Exchange Rate",
    "Net Currency",
    "Net Debit (NC)",
    "Net Credit (NC)",
    "Commission (NC)",
    "Markup (NC)",
    "Scheme Fees (NC)",
    "Interchange (NC)",
    "Payment Method Variant",
    "Modification Merchant Reference",
    "Batch Number",
    *(f"Reserved{number}" for number in range(4, 11)),
    "Booking Date",
    "Booking Date TimeZone",
    "Payment Fees (NC)",
)
PAYPAL_HEADER: Final = (
    "CH",
    "Transaction ID",
    "Invoice ID",
    "PayPal Reference ID",
    "PayPal Reference ID Type",
    "Transaction Event Code",
    "Transaction Initiation Date",
    "Transaction Completion Date",
    "Transaction Debit or Credit",
    "Gross Transaction Amount",
    "Gross Transaction Currency",
    "Fee Debit or Credit",
    "Fee Amount",
    "Fee Currency",
    "Custom Field",
    "Consumer ID",
)
ADYEN_DECIMALS: Final = {"CLP": 2, "ISK": 2, "CVE": 0, "IDR": 0}


def adyen(line: ImportedLine) -> dict[str, str]:
    """Cells of Adyen's settlement details. `processor_ids`: modification and PSP reference.

    The whole fee is in the commission; a line without a processor's id is one of the batch.
    """
    account, _, batch = (line.payout_reference or "").partition("/")
    modification, psp = (*line.references.processor_ids, "", "")[:2]
    of_batch = not psp
    shown, gross = line.presented_currency, line.presented_amount
    if not of_batch and shown is None:
        shown, gross = line.currency, line.amount
    return {
        "Company Account": "Company",
        "Merchant Account": account,
        "Psp Reference": psp,
        "Merchant Reference": line.references.payment_id or "",
        "Creation Date": midnight(line.processed_date),
        "TimeZone": "UTC" if line.processed_date else "",
        "Type": line.category,
        "Modification Reference": modification,
        "Gross Currency": shown or "",
        **_directed("Gross", "GC", gross, shown),
        "Exchange Rate": "",
        "Net Currency": line.currency,
        **_directed("Net", "NC", line.net, line.currency),
        "Commission (NC)": _adyen_major(line.fee, line.currency) if line.fee else "",
        "Modification Merchant Reference": line.references.transaction_id or "",
        "Batch Number": batch,
        "Booking Date": midnight(line.settlement_date),
        "Booking Date TimeZone": "UTC" if line.settlement_date else "",
    }


def paypal(line: ImportedLine) -> dict[str, str]:
    """Cells of a record SB of PayPal's settlement report. `processor_ids`: its own, the other's."""
    own, other = (*line.references.processor_ids, "", "")[:2]
    return {
        "CH": "SB",
        "Transaction ID": own,
        "Invoice ID": line.references.payment_id or "",
        "PayPal Reference ID": other,
        "Transaction Event Code": line.category,
        "Transaction Initiation Date": _pacific(line.processed_date),
        "Transaction Completion Date": _pacific(line.settlement_date),
        "Transaction Debit or Credit": "DR" if line.amount < 0 else "CR",
        "Gross Transaction Amount": _hundredths(line.amount, line.currency),
        "Gross Transaction Currency": line.currency,
        "Fee Debit or Credit": "CR" if line.fee < 0 else "DR",
        "Fee Amount": _hundredths(line.fee, line.currency),
        "Fee Currency": line.currency,
        "Custom Field": line.references.transaction_id or "",
    }


RENDERERS: Final[Mapping[SettlementFormat, Callable[[ImportedLine], dict[str, str]]]] = {
    SettlementFormat.CANONICAL: canonical,
    SettlementFormat.STRIPE: stripe,
    SettlementFormat.ADYEN: adyen,
    SettlementFormat.PAYPAL: paypal,
}
HEADERS: Final[Mapping[SettlementFormat, tuple[str, ...]]] = {
    SettlementFormat.CANONICAL: CANONICAL_HEADER,
    SettlementFormat.STRIPE: STRIPE_HEADER,
    SettlementFormat.ADYEN: ADYEN_HEADER,
    SettlementFormat.PAYPAL: PAYPAL_HEADER,
}


def _pacific(day: str | None) -> str:
    return f"{day.replace('-', '/')} 12:30:00 -0800" if day else ""


def _hundredths(amount_minor: int, currency: str) -> str:
    hundredths, rest = divmod(abs(amount_minor) * 100, 10 ** DECIMALS[currency])
    assert not rest, f"{amount_minor} {currency} has no whole number of hundredths"
    return str(hundredths)


def _adyen_major(amount_minor: int, currency: str) -> str:
    return major(amount_minor, currency, ADYEN_DECIMALS.get(currency))


def _directed(kind: str, unit: str, amount: int | None, currency: str | None) -> dict[str, str]:
    if amount is None or currency is None:
        return {}
    direction = "Debit" if amount < 0 else "Credit"
    return {f"{kind} {direction} ({unit})": _adyen_major(abs(amount), currency)}
