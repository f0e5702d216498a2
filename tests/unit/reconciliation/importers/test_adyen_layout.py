"""Adyen's settlement details: directions, costs, currency exchange and types as documented."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.reconciliation.importers.adyen import AdyenLayout
from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import Layout, Refusal
from runtime.reconciliation.importers.line import ImportedLine, References, UnreadableLine
from runtime.reconciliation.settlements.models import LineType
from tests.support.outside import new_id
from tests.support.reconciliation.render import ADYEN_HEADER

NOW = datetime(2026, 3, 14, tzinfo=UTC)
PAYMENT, CAPTURE = new_id("pay", NOW), new_id("txn", NOW)
SETTLED = {
    "Company Account": "Shop",
    "Merchant Account": "ShopEU",
    "Psp Reference": "PSP1",
    "Merchant Reference": PAYMENT,
    "Creation Date": "2026-05-20 23:06:43",
    "TimeZone": "PDT",
    "Type": "Settled",
    "Modification Reference": "MOD1",
    "Gross Currency": "EUR",
    "Gross Credit (GC)": "5.00",
    "Exchange Rate": "1",
    "Net Currency": "EUR",
    "Net Credit (NC)": "4.88",
    "Commission (NC)": "0.04",
    "Markup (NC)": "0.01",
    "Scheme Fees (NC)": "",
    "Interchange (NC)": "0.07",
    "Payment Fees (NC)": "0.12",
    "Modification Merchant Reference": CAPTURE,
    "Batch Number": "17",
}
BATCH_LINE = {
    "Merchant Account": "ShopEU",
    "Creation Date": "2026-05-21 10:00:00",
    "TimeZone": "CEST",
    "Net Currency": "EUR",
    "Batch Number": "17",
}


def layout() -> Layout:
    found = layout_of(ADYEN_HEADER)
    assert isinstance(found, AdyenLayout), found
    return found


def cells(row: dict[str, str], **changes: str) -> list[str]:
    changed = {**row, **{SHORT[key]: value for key, value in changes.items()}}
    return [changed.get(name, "") for name in ADYEN_HEADER]


SHORT = {
    "kind": "Type",
    "gd": "Gross Debit (GC)",
    "gc": "Gross Credit (GC)",
    "gross_currency": "Gross Currency",
    "rate": "Exchange Rate",
    "nd": "Net Debit (NC)",
    "nc": "Net Credit (NC)",
    "net_currency": "Net Currency",
    "commission": "Commission (NC)",
    "markup": "Markup (NC)",
    "interchange": "Interchange (NC)",
    "modification": "Modification Reference",
    "zone": "TimeZone",
    "created": "Creation Date",
    "batch": "Batch Number",
}
NO_COSTS = {"commission": "", "markup": "", "interchange": ""}


def read(row: dict[str, str] = SETTLED, **changes: str) -> ImportedLine:
    line = layout().parse(2, cells(row, **changes))
    assert isinstance(line, ImportedLine), line
    return line


def refused(row: dict[str, str] = SETTLED, **changes: str) -> str:
    line = layout().parse(9, cells(row, **changes))
    assert isinstance(line, UnreadableLine), line
    return line.reason


def test_a_settled_line_is_a_capture_whose_costs_are_added_up_once() -> None:
    assert read() == ImportedLine(
        number=2,
        identity="PSP1:MOD1:settled",
        type=LineType.CAPTURE,
        category="Settled",
        amount=500,
        fee=12,
        net=488,
        currency="EUR",
        references=References(
            payment_id=PAYMENT, transaction_id=CAPTURE, processor_ids=("MOD1", "PSP1")
        ),
        payout_reference="ShopEU/17",
        processed_date="2026-05-21",
        settlement_date=None,
    )


def test_a_chargeback_in_debit_takes_amount_and_fee() -> None:
    line = read(
        **NO_COSTS | {"markup": "7.50"}, kind="Chargeback", gc="", gd="349.99", nc="", nd="357.49"
    )
    assert (line.type, line.amount, line.fee, line.net) == (LineType.DISPUTE, -34999, 750, -35749)
    assert line.references.dispute_id == "MOD1"


def test_a_small_payment_in_another_currency_may_be_a_net_debit() -> None:
    line = read(
        **NO_COSTS | {"commission": "0.14"},
        gross_currency="INR",
        gc="10.00",
        rate="0.011",
        nc="",
        nd="0.03",
    )
    assert (line.amount, line.fee, line.net) == (11, 14, -3)
    assert (line.presented_amount, line.presented_currency) == (1000, "INR")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Settled", LineType.CAPTURE),
        ("SETTLED", LineType.CAPTURE),
        ("SettledExternallyWithInfo", LineType.CAPTURE),
        ("Refunded", LineType.REFUND),
        ("RefundedExternally", LineType.REFUND),
        ("RefundedReversed", LineType.REFUND_FAILURE),
        ("SecondChargeback", LineType.DISPUTE),
        ("ChargebackReversed", LineType.DISPUTE_REVERSAL),
        ("PaymentCost", LineType.FEE),
        ("AuthorisationSchemeFee", LineType.FEE),
        ("ReserveAdjustment", LineType.ADJUSTMENT),
        ("Balancetransfer", LineType.ADJUSTMENT),
        ("Capitalisation", None),
    ],
)
def test_the_journal_type_gives_the_type_and_never_the_direction(
    kind: str, expected: LineType | None
) -> None:
    assert read(kind=kind).type is expected
    reverse = read(**NO_COSTS, kind=kind, gc="", gd="5.00", nc="", nd="5.00")
    assert (reverse.type, reverse.amount) == (expected, -500)


@pytest.mark.parametrize(("nd", "nc", "net"), [("1.75", "", -175), ("", "1.75", 175)])
def test_a_payout_has_the_direction_of_its_column(nd: str, nc: str, net: int) -> None:
    line = read(BATCH_LINE, kind="MerchantPayout", nd=nd, nc=nc, modification="TX1 batch 17, Shop")
    assert (line.type, line.amount, line.fee, line.net) == (LineType.PAYOUT, net, 0, net)
    assert line.references == References()


def test_lines_of_the_batch_are_identified_by_their_content() -> None:
    row = cells(BATCH_LINE, kind="Fee", nd="0.10")
    line = layout().parse(4, row)
    assert isinstance(line, ImportedLine)
    outline = layout().outline(row)
    assert (outline.payout_reference, outline.content_identity) == ("ShopEU/17", line.identity)
    assert layout().outline(cells(BATCH_LINE, kind="Fee", nd="0.11")) != outline


def test_a_payments_own_cost_without_a_gross_amount_takes_the_net() -> None:
    line = read(**NO_COSTS, kind="PaymentCost", gc="", nc="1.75")
    assert (line.type, line.amount, line.net) == (LineType.FEE, 175, 175)


def test_decimals_differ_from_iso_where_adyen_documents_it() -> None:
    changes = {**NO_COSTS, "gross_currency": "ISK", "net_currency": "ISK"}
    assert read(**changes, gc="12.00", nc="12.00").amount == 12
    assert "smallest unit of ISK" in refused(**changes, gc="12.50", nc="12.50")
    changes = {**NO_COSTS, "gross_currency": "IDR", "net_currency": "IDR"}
    assert read(**changes, gc="1200", nc="1200").amount == 120_000
    assert "more decimals than IDR has (0)" in refused(**changes, gc="1200.5", nc="1200.5")


def test_a_line_of_another_acquirer_needs_no_rate() -> None:
    changes = {**NO_COSTS, "gross_currency": "USD", "rate": ""}
    line = read(**changes, kind="SettledExternallyWithInfo", gc="9.99", nc="5.00")
    assert (line.presented_amount, line.amount) == (999, 500)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nc": "4.87"}, "gross 500 less costs 12 is not net 487"),
        ({"gd": "5.00"}, "both Gross Debit (GC) and Gross Credit (GC) are filled"),
        ({"nd": "4.88"}, "both Net Debit (NC) and Net Credit (NC) are filled"),
        ({"nc": ""}, "neither Net Debit (NC) nor Net Credit (NC) is filled"),
        ({"nc": "-4.88"}, "Net Credit (NC) -4.88 is negative; these columns have no sign"),
        ({"gross_currency": "USD", "rate": "0.90"}, "500 USD at the rate 0.90 is not 500 EUR"),
        ({"gross_currency": "USD", "rate": "x"}, "Exchange Rate 'x' is not a decimal number"),
        ({"gross_currency": ""}, "Gross Currency is empty"),
        ({"zone": "CST"}, "TimeZone 'CST' is not one of the known time zones"),
        ({"created": "20.05.2026"}, "Creation Date '20.05.2026' is not a date"),
        ({"batch": ""}, "Batch Number is empty"),
        ({"kind": ""}, "Type is empty"),
        ({"commission": "0.041"}, "more decimals than EUR has (2)"),
    ],
)
def test_a_line_that_contradicts_itself_is_unreadable(changes: dict[str, str], reason: str) -> None:
    assert reason in refused(**changes)


@pytest.mark.parametrize(
    ("zone", "day"),
    [("PDT", "2026-05-21"), ("pst", "2026-05-21"), ("UTC", "2026-05-20"), ("CEST", "2026-05-20")],
)
def test_local_times_become_days_in_utc(zone: str, day: str) -> None:
    assert read(zone=zone).processed_date == day


@pytest.mark.parametrize("name", AdyenLayout.needed)
def test_a_report_without_a_required_column_is_refused_by_its_name(name: str) -> None:
    refusal = layout_of([each for each in ADYEN_HEADER if each != name])
    assert isinstance(refusal, Refusal)
    assert f"layout of Adyen without the column {name}." in refusal.reason
