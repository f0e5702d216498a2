"""PayPal's settlement report: kinds of records, hundredths of every currency, event codes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.reconciliation.importers.cells import cells_of
from runtime.reconciliation.importers.dialect import TextFile, sniff
from runtime.reconciliation.importers.layout import Outline, Refusal
from runtime.reconciliation.importers.line import ImportedLine, References, UnreadableLine
from runtime.reconciliation.importers.paypal import PayPalLayout
from runtime.reconciliation.settlements.models import LineType
from tests.support.outside import new_id
from tests.support.reconciliation.render import PAYPAL_HEADER

PAYMENT = new_id("pay", datetime(2026, 3, 14, tzinfo=UTC))
SALE = {
    "CH": "SB",
    "Transaction ID": "5678",
    "Invoice ID": PAYMENT,
    "PayPal Reference ID": "4H844",
    "PayPal Reference ID Type": "TXN",
    "Transaction Event Code": "T0006",
    "Transaction Initiation Date": "2026/01/06 20:00:30 -0800",
    "Transaction Completion Date": "2026/01/06 00:00:30 -0800",
    "Transaction Debit or Credit": "CR",
    "Gross Transaction Amount": "5200",
    "Gross Transaction Currency": "AUD",
    "Fee Debit or Credit": "DR",
    "Fee Amount": "225",
    "Fee Currency": "AUD",
}
LAYOUT = PayPalLayout(PAYPAL_HEADER)


def cells(**changes: str) -> list[str]:
    short = {
        "code": "Transaction Event Code",
        "way": "Transaction Debit or Credit",
        "amount": "Gross Transaction Amount",
        "currency": "Gross Transaction Currency",
        "fee_way": "Fee Debit or Credit",
        "fee": "Fee Amount",
        "fee_currency": "Fee Currency",
        "begun": "Transaction Initiation Date",
        "own": "Transaction ID",
    }
    row = {**SALE, **{short[name]: value for name, value in changes.items()}}
    return [row.get(name, "") for name in PAYPAL_HEADER]


def read(**changes: str) -> ImportedLine:
    line = LAYOUT.parse(4, cells(**changes))
    assert isinstance(line, ImportedLine), line
    return line


def test_a_sale_is_a_capture_whose_net_is_gross_less_fee() -> None:
    assert read() == ImportedLine(
        number=4,
        identity="5678:T0006:AUD",
        type=LineType.CAPTURE,
        category="T0006",
        amount=5200,
        fee=225,
        net=4975,
        currency="AUD",
        references=References(payment_id=PAYMENT, processor_ids=("5678", "4H844")),
        processed_date="2026-01-07",
        settlement_date="2026-01-06",
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("T1107", LineType.REFUND),
        ("T1201", LineType.DISPUTE),
        ("T0106", LineType.FEE),
        ("T0400", LineType.PAYOUT),
        ("t0201", LineType.ADJUSTMENT),
        ("T1110", LineType.ADJUSTMENT),
        ("T5000", None),
    ],
)
def test_the_event_code_gives_the_type_and_the_column_the_direction(
    code: str, kind: LineType | None
) -> None:
    line = read(code=code, way="DR", amount="134", fee_way="CR", fee="47")
    assert (line.type, line.amount, line.fee, line.net) == (kind, -134, -47, -87)


@pytest.mark.parametrize(
    ("currency", "text", "amount"), [("JPY", "50000", 500), ("KWD", "525", 5250), ("EUR", "1", 1)]
)
def test_amounts_are_hundredths_of_every_currency(currency: str, text: str, amount: int) -> None:
    assert read(currency=currency, amount=text, fee="", fee_currency="").amount == amount


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"way": "X"}, "'X' is neither CR nor DR"),
        ({"amount": "52.00"}, "'52.00' is not an unsigned whole number of hundredths"),
        ({"amount": "-5200"}, "is not an unsigned whole number"),
        ({"currency": "JPY", "amount": "50", "fee": "0"}, "smallest unit of JPY"),
        ({"fee_currency": "USD"}, "Fee Currency USD differs from that of the amount, AUD"),
        ({"begun": "06.01.2026"}, "is not a date"),
        ({"own": ""}, "Transaction ID is empty"),
    ],
)
def test_a_wrong_cell_makes_the_line_unreadable(changes: dict[str, str], reason: str) -> None:
    line = LAYOUT.parse(4, cells(**changes))
    assert isinstance(line, UnreadableLine)
    assert reason in line.reason


@pytest.mark.parametrize("kind", ["SH", "SF", "RF", "CH", "RH", "SC"])
def test_records_of_other_kinds_are_not_lines(kind: str) -> None:
    assert LAYOUT.parse(2, [kind, "GBP", "834"]) is None
    assert LAYOUT.outline([kind, *cells()[1:]]) == Outline()


def test_the_columns_are_found_after_preceding_records() -> None:
    before = '"RH","2026/01/07 00:00:00 -0800","A"\r\nFH,01\r\n"SH","2026/01/06","2026/01/06"\r\n'
    names = ",".join(f'"{name}"' for name in PAYPAL_HEADER)
    found = sniff(f"{before}{names}\r\n{','.join(cells())}\r\n".encode(), whole=False)
    assert isinstance(found, TextFile)
    assert isinstance(found.layout, PayPalLayout)
    assert found.header == names
    assert found.layout.parse(4, cells_of(",".join(cells()))) == read()


def test_a_report_without_column_names_is_refused() -> None:
    found = sniff(b'"SH","2026/01/06"\n' * 20, whole=True)
    assert isinstance(found, Refusal)
    assert "without the record CH" in found.reason
