"""Settlement lines as the cells that a processor would have written them in: not the readers' code.

Each function gives the cells of one line by the names of the layout's columns; `table` puts lines
under a header.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from runtime.domain.settlement_formats.line import ImportedLine
from runtime.models.currency import DECIMALS
from runtime.models.settlement import SettlementFormat

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
        "automatic_payout_effective_at_utc": _midnight(line.settlement_date),
        "balance_transaction_id": line.identity,
        "created_utc": _midnight(line.processed_date),
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


def adyen(line: ImportedLine) -> dict[str, str]:
    """Cells of Adyen's settlement details. `processor_ids`: modification and PSP reference.

    The whole fee stands in the commission; a line without a processor's id is one of the batch.
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
        "Creation Date": _midnight(line.processed_date),
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
        "Booking Date": _midnight(line.settlement_date),
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


def table(
    header: Sequence[str], rows: Iterable[Cells], *, delimiter: str = ",", line_end: str = "\n"
) -> str:
    """A delimited file; cells that a row does not name are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", delimiter=delimiter, lineterminator=line_end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _midnight(day: str | None) -> str:
    return f"{day} 00:00:00" if day else ""


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
