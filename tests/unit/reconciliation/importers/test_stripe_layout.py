"""Stripe's reports: signs, categories, references and refusals as documented."""

from __future__ import annotations

import pytest

from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import Layout, Outline, Refusal
from runtime.reconciliation.importers.line import ImportedLine, References, UnreadableLine
from runtime.reconciliation.importers.stripe import StripeLayout
from runtime.reconciliation.settlements.models import LineType, SettlementFormat
from tests.support.reconciliation.render import STRIPE_HEADER

PAYMENT, REFUND = "pay_01KKMT9200SSS41CQTFFSXF5GB", "txn_01KKMT9200HT2XT6BA1SKFCDQD"
CHARGE = {
    "automatic_payout_id": "po_1",
    "automatic_payout_effective_at_utc": "2026-01-31 00:00:00",
    "balance_transaction_id": "txn_1A",
    "created_utc": "2026-01-30 10:11:12",
    "currency": "usd",
    "gross": "25.00",
    "fee": "0.95",
    "net": "24.05",
    "reporting_category": "charge",
    "source_id": "ch_1",
    "charge_id": "ch_1",
    "payment_intent_id": "pi_1",
    "payment_metadata[reference]": PAYMENT,
}


def layout(header: tuple[str, ...] = STRIPE_HEADER) -> Layout:
    found = layout_of(header)
    assert isinstance(found, StripeLayout), found
    return found


def read(**changes: str) -> ImportedLine:
    line = layout().parse(2, cells(**changes))
    assert isinstance(line, ImportedLine), line
    return line


def cells(**changes: str) -> list[str]:
    references = {f"{of}_reference": f"{of}_metadata[reference]" for of in ("payment", "refund")}
    row = {**CHARGE, **{references.get(name, name): value for name, value in changes.items()}}
    return [row.get(name, "") for name in STRIPE_HEADER]


def test_a_charge_is_a_capture_with_its_fee_and_every_reference() -> None:
    assert read() == ImportedLine(
        number=2,
        identity="txn_1A",
        type=LineType.CAPTURE,
        category="charge",
        amount=2500,
        fee=95,
        net=2405,
        currency="USD",
        references=References(payment_id=PAYMENT, processor_ids=("ch_1", "pi_1")),
        payout_reference="po_1",
        processed_date="2026-01-30",
        settlement_date="2026-01-31",
    )


@pytest.mark.parametrize(
    ("category", "amounts", "kind", "read_as"),
    [
        ("refund", ("-10.00", "0", "-10.00"), LineType.REFUND, (-1000, 0, -1000)),
        ("refund_failure", ("10.00", "0.00", "10.00"), LineType.REFUND_FAILURE, (1000, 0, 1000)),
        ("dispute", ("-30.00", "15.00", "-45.00"), LineType.DISPUTE, (-3000, 1500, -4500)),
        ("dispute_reversal", ("30", "-15", "45"), LineType.DISPUTE_REVERSAL, (3000, -1500, 4500)),
        ("fee", ("-0.50", "0", "-0.50"), LineType.FEE, (-50, 0, -50)),
        ("network_cost", ("-0.50", "0", "-0.50"), LineType.FEE, (-50, 0, -50)),
        ("tax", ("-0.50", "0", "-0.50"), LineType.FEE, (-50, 0, -50)),
        ("partial_capture_reversal", ("-5", "-0.20", "-4.80"), LineType.CAPTURE, (-500, -20, -480)),
        ("charge_failure", ("-25", "0", "-25"), LineType.CAPTURE, (-2500, 0, -2500)),
        ("payout", ("-31.45", "0", "-31.45"), LineType.PAYOUT, (-3145, 0, -3145)),
        ("payout_reversal", ("31.45", "0", "31.45"), LineType.PAYOUT, (3145, 0, 3145)),
        ("risk_reserved_funds", ("-8", "0", "-8"), LineType.ADJUSTMENT, (-800, 0, -800)),
        ("Other_Adjustment", ("1.01", "0", "1.01"), LineType.ADJUSTMENT, (101, 0, 101)),
        ("climate_order", ("-1", "0", "-1"), None, (-100, 0, -100)),
    ],
)
def test_a_category_gives_the_type_and_the_sign_stays(
    category: str,
    amounts: tuple[str, str, str],
    kind: LineType | None,
    read_as: tuple[int, int, int],
) -> None:
    gross, fee, net = amounts
    line = read(reporting_category=category, gross=gross, fee=fee, net=net)
    assert (line.type, (line.amount, line.fee, line.net)) == (kind, read_as)


def test_a_refund_is_identified_by_our_transaction_and_the_refund_before_the_charge() -> None:
    line = read(reporting_category="refund", source_id="re_1", refund_reference=REFUND)
    assert line.references == References(
        payment_id=PAYMENT, transaction_id=REFUND, processor_ids=("re_1", "ch_1", "pi_1")
    )


def test_a_dispute_line_identifies_the_dispute() -> None:
    assert read(reporting_category="dispute", source_id="du_1").references.dispute_id == "du_1"


@pytest.mark.parametrize("value", ["1", "order 17", "txn_1A", "pay_short", PAYMENT.lower(), "ch_1"])
def test_a_merchants_own_metadata_is_not_mistaken_for_our_id(value: str) -> None:
    line = read(payment_reference=value)
    assert (line.references.payment_id, line.references.transaction_id) == (None, None)


@pytest.mark.parametrize(
    ("shown", "gross", "expected"),
    [
        (("100.00", "eur"), "25.00", (10000, "EUR")),
        (("100.00", "eur"), "-25.00", (-10000, "EUR")),
        (("-100.00", "eur"), "-25.00", (-10000, "EUR")),
        (("3000", "jpy"), "25.00", (3000, "JPY")),
        (("9.500", "kwd"), "25.00", (9500, "KWD")),
        (("25.00", "usd"), "25.00", (None, None)),
        (("", ""), "25.00", (None, None)),
    ],
)
def test_the_customers_amount_is_kept_if_its_currency_differs(
    shown: tuple[str, str], gross: str, expected: tuple[int | None, str | None]
) -> None:
    line = read(
        gross=gross,
        fee="0",
        net=gross,
        customer_facing_amount=shown[0],
        customer_facing_currency=shown[1],
    )
    assert (line.presented_amount, line.presented_currency) == expected


@pytest.mark.parametrize(
    ("currency", "text", "amount"),
    [("jpy", "500", 500), ("kwd", "5.123", 5123), ("isk", "500.00", 500), ("usd", "5.1", 510)],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, text: str, amount: int) -> None:
    assert read(currency=currency, gross=text, fee="0", net=text).amount == amount


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"net": "24.06"}, "gross 2500 less fee 95 is not net 2406"),
        ({"gross": "25.001"}, "gross '25.001' has more decimals than USD has (2)"),
        ({"currency": "jpy"}, "gross '25.00' has more decimals than JPY has (0)"),
        ({"currency": "isk", "gross": "25.50"}, "not a whole number of the smallest unit of ISK"),
        ({"gross": "25,00"}, "gross '25,00' is not a decimal number such as 24.05"),
        ({"gross": "2.5E1"}, "is not a decimal number"),
        ({"gross": "$25.00"}, "is not a decimal number"),
        ({"gross": ".50"}, "is not a decimal number"),
        ({"gross": ""}, "gross is empty"),
        ({"gross": "99999999999.00"}, "is beyond the largest amount"),
        ({"currency": "btc"}, "currency 'BTC' is not an ISO 4217"),
        ({"balance_transaction_id": ""}, "balance_transaction_id is empty"),
        ({"reporting_category": ""}, "reporting_category is empty"),
        ({"created_utc": "30/01/2026"}, "created_utc '30/01/2026' is not a date"),
        ({"customer_facing_currency": "xx", "customer_facing_amount": "1"}, "not an ISO 4217"),
    ],
)
def test_a_contradictory_line_is_unreadable_and_keeps_its_payout(
    changes: dict[str, str], reason: str
) -> None:
    line = layout().parse(9, cells(**changes))
    assert isinstance(line, UnreadableLine)
    assert reason in line.reason
    assert (line.number, line.payout_reference) == (9, "po_1")


def test_an_unpaid_line_belongs_to_no_payout() -> None:
    row = cells(automatic_payout_id="", automatic_payout_effective_at_utc="")
    line = layout().parse(2, row)
    assert isinstance(line, ImportedLine)
    assert (line.payout_reference, line.settlement_date) == (None, None)
    assert layout().outline(row) == Outline(own_identity="txn_1A")


def test_the_report_of_payouts_is_parsed_too() -> None:
    header = (
        "payout_id",
        "effective_at_utc",
        "currency",
        "gross",
        "fee",
        "net",
        "reporting_category",
        "balance_transaction_id",
        "description",
    )
    line = layout(header).parse(
        2, ["po_1", "2026-01-31 00:00:00", "usd", "-5", "0", "-5", "payout", "txn_9", "STRIPE"]
    )
    assert isinstance(line, ImportedLine)
    assert (line.type, line.payout_reference) == (LineType.PAYOUT, "po_1")
    assert line.settlement_date == "2026-01-31"


@pytest.mark.parametrize(
    "name", ["balance_transaction_id", "currency", "gross", "fee", "net", "reporting_category"]
)
def test_a_report_without_a_required_column_is_refused_by_its_name(name: str) -> None:
    refusal = layout_of([each for each in STRIPE_HEADER if each != name])
    assert isinstance(refusal, Refusal)
    assert f"layout of Stripe without the column {name}." in refusal.reason


def test_a_report_that_identifies_no_payment_is_refused() -> None:
    hidden = {"source_id", "charge_id", "payment_intent_id"}
    header = [name for name in STRIPE_HEADER if name not in hidden and "metadata" not in name]
    refusal = layout_of(header)
    assert isinstance(refusal, Refusal)
    assert "without any of the columns payment_metadata[reference]" in refusal.reason


def test_a_report_without_payout_ids_is_refused() -> None:
    refusal = layout_of([name for name in STRIPE_HEADER if name != "automatic_payout_id"])
    assert isinstance(refusal, Refusal)
    assert "without any of the columns automatic_payout_id, payout_id" in refusal.reason
    assert StripeLayout.format is SettlementFormat.STRIPE
