"""Our own layout: strict parsing, in any order of columns, with amounts as exact integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.echo import NOT_REPEATED
from runtime.core.fields import MAX_AMOUNT_MINOR
from runtime.reconciliation.importers.canonical import HEADER, CanonicalLayout
from runtime.reconciliation.importers.cells import cells_of
from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import (
    MAX_CELL_CHARACTERS,
    Layout,
    Outline,
    Refusal,
    Unreadable,
)
from runtime.reconciliation.importers.line import ImportedLine, References, UnreadableLine
from runtime.reconciliation.settlements.models import LineType

GOOD = {
    "payment_id": "pay_1",
    "transaction_id": "txn_1",
    "status": "settled",
    "amount": "1000",
    "fee": "59",
    "net": "941",
    "currency": "USD",
    "processed_date": "2026-03-14",
    "settlement_date": "2026-03-15",
}
WITH_TYPE = (*HEADER, "type")


def layout(header: tuple[str, ...] = WITH_TYPE) -> Layout:
    found = layout_of(header)
    assert isinstance(found, CanonicalLayout), found
    return found


def cells(**changes: str) -> list[str]:
    row = {**GOOD, "type": "", **changes}
    return [row[name] for name in WITH_TYPE]


def parsed(**changes: str) -> ImportedLine:
    line = layout().parse(2, cells(**changes))
    assert isinstance(line, ImportedLine), line
    return line


def refused(**changes: str) -> str:
    line = layout().parse(7, cells(**changes))
    assert isinstance(line, UnreadableLine), line
    assert line.number == 7
    return line.reason


def test_a_capture_is_read_with_amounts_as_integers() -> None:
    assert parsed() == ImportedLine(
        number=2,
        identity="capture:txn_1",
        type=LineType.CAPTURE,
        category="capture",
        amount=1000,
        fee=59,
        net=941,
        currency="USD",
        references=References(payment_id="pay_1", transaction_id="txn_1"),
        processed_date="2026-03-14",
        settlement_date="2026-03-15",
    )


def test_cells_are_trimmed_and_dates_may_be_missing() -> None:
    line = parsed(amount=" 1000 ", processed_date="", settlement_date=" ")
    assert (line.amount, line.processed_date, line.settlement_date) == (1000, None, None)


def test_a_file_without_the_column_type_contains_captures() -> None:
    line = layout(HEADER).parse(2, list(GOOD.values()))
    assert isinstance(line, ImportedLine)
    assert line.type is LineType.CAPTURE


def test_columns_have_any_order_and_unknown_ones_are_ignored() -> None:
    header = ("Note", *(f" {name.upper()} " for name in reversed(HEADER)))
    line = layout(header).parse(2, ["x" * 10_000, *reversed(GOOD.values())])
    assert line == layout().parse(2, cells())


def test_refunds_are_negative_and_identified_by_their_transaction() -> None:
    line = parsed(type="Refund", amount="-300", fee="0", net="-300")
    assert (line.type, line.amount, line.identity) == (LineType.REFUND, -300, "refund:txn_1")


@pytest.mark.parametrize("kind", [LineType.DISPUTE, LineType.DISPUTE_REVERSAL])
def test_a_row_about_a_dispute_identifies_the_dispute(kind: LineType) -> None:
    line = parsed(type=kind.value, transaction_id="du_1")
    assert line.references == References(payment_id="pay_1", dispute_id="du_1")


@pytest.mark.parametrize("kind", ["fee", "adjustment", "payout"])
def test_a_row_without_a_payment_is_identified_by_its_content(kind: str) -> None:
    row = cells(type=kind, payment_id="", transaction_id="")
    line = layout().parse(5, row)
    assert isinstance(line, ImportedLine)
    assert line.references == References()
    assert layout().outline(row).content_identity == line.identity
    assert line.identity.startswith("content:")
    other = layout().outline(cells(type=kind, payment_id="", transaction_id="", amount="1"))
    assert other.content_identity != line.identity


def test_a_row_without_a_payment_may_have_an_id() -> None:
    row = cells(type="payout", payment_id="", transaction_id="po_1")
    line = layout().parse(5, row)
    assert isinstance(line, ImportedLine)
    assert line.identity == "payout:po_1"
    assert layout().outline(row).content_identity is None


def test_an_unknown_type_is_left_unclassified() -> None:
    line = parsed(type="chargeback")
    assert (line.type, line.category) == (None, "chargeback")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payment_id": ""}, "payment_id is empty"),
        ({"transaction_id": "  "}, "transaction_id is empty"),
        ({"status": ""}, "status is empty"),
        ({"currency": ""}, "currency is empty"),
        ({"amount": ""}, "amount is empty"),
        ({"amount": "10.00"}, "amount '10.00' is not a whole number of minor units"),
        ({"amount": "1e3"}, "not a whole number"),
        ({"amount": "1,000"}, "not a whole number"),
        ({"amount": "+1000"}, "not a whole number"),
        ({"amount": "1_000"}, "not a whole number"),
        ({"amount": "0x10"}, "not a whole number"),
        ({"amount": "\u0661\u0660\u0660\u0660"}, "not a whole number"),
        ({"fee": "abc"}, "not a whole number"),
        ({"net": "--1"}, "not a whole number"),
        ({"amount": "9" * 14}, "is beyond the largest amount"),
        ({"amount": str(MAX_AMOUNT_MINOR + 1)}, "is beyond the largest amount"),
        ({"fee": "-" + "9" * 14}, "is beyond the largest amount"),
        ({"currency": "usd"}, "currency 'usd' is not an ISO 4217 currency code"),
        ({"currency": "XXX"}, "not an ISO 4217"),
        ({"net": "940"}, "amount 1000 less fee 59 is not net 940"),
        ({"payment_id": "p" * (MAX_CELL_CHARACTERS + 1)}, "payment_id is longer than 512"),
        ({"processed_date": "14.03.2026"}, "processed_date '14.03.2026' is not a date"),
        ({"settlement_date": "2026-02-30"}, "settlement_date '2026-02-30' is not a date"),
        ({"type": "refund", "transaction_id": ""}, "transaction_id is empty"),
        ({"type": "dispute", "payment_id": ""}, "payment_id is empty"),
    ],
)
def test_a_wrong_cell_makes_the_line_unreadable_with_its_number_and_reason(
    changes: dict[str, str], reason: str
) -> None:
    assert reason in refused(**changes)


def test_a_card_number_is_not_repeated() -> None:
    assert "4242" not in refused(amount="x4242424242424242")


@pytest.mark.parametrize("count", [1, 9, 11, 50])
def test_another_number_of_columns_is_unreadable(count: int) -> None:
    assert layout().parse(3, ["x"] * count) == UnreadableLine(3, f"{count} columns instead of 10")


@pytest.mark.parametrize("blank", [[], [""], [" "], ["", " ", ""]])
def test_a_blank_record_is_not_a_line(blank: list[str]) -> None:
    assert layout().parse(3, blank) is None


def test_a_record_is_read_from_text_with_quotes_and_line_breaks() -> None:
    header = (*HEADER, "note")
    text = ",".join(GOOD.values()) + ',"two\nlines, ""quoted"""'
    assert layout(header).parse(2, cells_of(text)) == layout().parse(2, cells())


@pytest.mark.parametrize("text", ['"open', 'a"b"c,"x"y', "a\nb"])
def test_text_that_is_not_csv_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="not readable as CSV"):
        cells_of(text)


@pytest.mark.parametrize("name", HEADER)
def test_a_file_without_a_required_column_is_refused_by_its_name(name: str) -> None:
    refusal = layout_of([each for each in HEADER if each != name])
    assert isinstance(refusal, Refusal)
    assert f"without the column {name}." in refusal.reason


def test_a_file_with_a_column_twice_is_refused() -> None:
    refusal = layout_of([*HEADER, "amount"])
    assert isinstance(refusal, Refusal)
    assert "amount more than once" in refusal.reason


@pytest.mark.parametrize("header", [[], [""], ["a", "b"], ["\x00\xff"], ["x" * 500]])
def test_an_unknown_header_is_refused_with_the_expected_ones(header: list[str]) -> None:
    refusal = layout_of(header)
    assert isinstance(refusal, Refusal)
    assert "expected payment_id,transaction_id,status" in refusal.reason
    assert len(refusal.reason) < 500


@given(st.lists(st.text(max_size=20), min_size=10, max_size=10))
def test_any_cells_are_accepted_or_refused_without_a_crash(row: list[str]) -> None:
    assert isinstance(layout().parse(2, row), ImportedLine | UnreadableLine | None)
    assert isinstance(layout().outline(row), Outline)


@given(st.integers(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR), st.integers(-1000, 1000))
def test_amounts_survive_the_text_exactly(amount: int, fee: int) -> None:
    net = amount - fee
    if abs(net) <= MAX_AMOUNT_MINOR:
        line = parsed(amount=str(amount), fee=str(fee), net=str(net))
        assert (line.amount, line.fee, line.net) == (amount, fee, net)


@pytest.mark.parametrize("category", ["4111 1111 1111 1111", "paid with 4111111111111111"])
def test_a_category_that_looks_like_a_card_number_is_hidden(category: str) -> None:
    line = parsed(type=category)
    assert (line.type, line.category) == (None, NOT_REPEATED)
    assert parsed(type="chargeback fee").category == "chargeback fee"


def test_no_unreadable_cell_repeats_a_card_number() -> None:
    for name in GOOD:
        line = layout().parse(2, cells(**{name: "4111 1111 1111 1111"}))
        assert "1111" not in getattr(line, "reason", "")
