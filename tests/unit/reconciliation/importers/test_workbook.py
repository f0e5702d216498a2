"""Excel workbooks become the CSV that Excel would have saved, exactly, or are refused."""

from __future__ import annotations

import csv
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.reconciliation.importers import workbook as reader
from runtime.reconciliation.importers.dialect import WorkbookFile, sniff
from runtime.reconciliation.importers.layout import Refusal
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.importers.workbook import Sheet, UnusableCell, read_workbook
from runtime.reconciliation.settlements.models import SettlementFormat
from tests.support.reconciliation.render import CANONICAL_HEADER, STRIPE_HEADER
from tests.support.reconciliation.workbooks import Cell, cell_name, workbook

GOOD: dict[str, Cell] = {
    "balance_transaction_id": "txn_1A",
    "automatic_payout_id": "po_1",
    "reporting_category": "charge",
    "currency": "usd",
    "gross": 25,
    "fee": 0.95,
    "net": 24.05,
    "source_id": "ch_1",
    "created_utc": "2026-01-30 10:11:12",
}


def row(**changes: Cell) -> list[Cell]:
    cells = {**GOOD, **changes}
    return [cells.get(name) for name in STRIPE_HEADER]


def sheet_of(content: bytes) -> Sheet:
    assert sniff(content, whole=True) == WorkbookFile()
    sheet = read_workbook(content)
    assert isinstance(sheet, Sheet), sheet
    return sheet


def refusal(content: bytes) -> str:
    refused = read_workbook(content)
    assert isinstance(refused, Refusal), refused
    return refused.reason


def cell(value: Cell) -> str:
    """The text of a cell of the column `description`."""
    lines = sheet_of(workbook({"Report": [STRIPE_HEADER, row(description=value)]})).lines
    rows = list(csv.reader(lines))
    return rows[1][STRIPE_HEADER.index("description")]


def test_a_sheet_is_read_like_the_csv_of_the_same_report() -> None:
    sheet = sheet_of(workbook({"Report": [STRIPE_HEADER, row(), row()]}))
    assert sheet.layout.format is SettlementFormat.STRIPE
    header, first, second = csv.reader(sheet.lines)
    assert tuple(header) == STRIPE_HEADER
    assert first == second
    line = sheet.layout.parse(2, first)
    assert isinstance(line, ImportedLine)
    assert (line.amount, line.fee, line.net) == (2500, 95, 2405)


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("25", "25"),
        ("25.0", "25"),
        ("-0.5", "-0.5"),
        ("24.049999999999997", "24.05"),
        ("0.30000000000000004", "0.3"),
        ("-1E-2", "-0.01"),
        ("1.2345E3", "1234.5"),
        ("123456789012345", "123456789012345"),
        ("9999999999999.99", "9999999999999.99"),
    ],
)
def test_numbers_become_the_digits_that_excel_shows(stored: str, text: str) -> None:
    assert cell((stored, "number")) == text


@given(st.integers(-(10**12), 10**12), st.integers(0, 3))
def test_an_amount_stored_as_a_double_is_read_to_the_minor_unit(amount: int, decimals: int) -> None:
    exact = Decimal(amount).scaleb(-decimals)
    assert Decimal(reader._text(float(exact))) == exact


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_number_is_written_without_an_exponent_or_refused(number: float) -> None:
    if math.isfinite(number) and abs(number) < 10**15:
        text = reader._text(number)
        assert set(text) <= set("-.0123456789")
        assert math.isclose(float(text), number, rel_tol=1e-14)
    else:
        with pytest.raises(UnusableCell):
            reader._text(number)


def test_dates_are_written_as_iso_8601() -> None:
    assert cell(("46052", "date")) == "2026-01-30"
    assert cell(("46052.5", "date")) == "2026-01-30T12:00:00"


def test_texts_are_unchanged_except_for_line_breaks() -> None:
    assert cell("0042") == "0042"
    assert cell('a "b", c') == 'a "b", c'
    assert cell("two\nlines") == "two lines"
    assert cell("") == ""


def test_the_first_visible_sheet_with_a_known_header_is_taken() -> None:
    content = workbook(
        {
            "Hidden": [STRIPE_HEADER, row(gross=1)],
            "Cover": [["Settlement of January"], ["Total", 24.05]],
            "Data": [STRIPE_HEADER, row()],
        },
        hidden=["Hidden"],
    )
    assert sheet_of(content).name == "Data"


def test_a_workbook_without_a_known_header_is_refused() -> None:
    assert "None of the 2 sheets" in refusal(workbook({"A": [["x"]], "B": []}))
    lacking = [name for name in CANONICAL_HEADER if name != "net"]
    assert "without the column net" in refusal(workbook({"A": [lacking]}))
    assert "is not the header of a known" in refusal(workbook({"A": [["x", "y"]]}))


def test_a_long_number_that_excel_has_rounded_is_refused() -> None:
    sheet = sheet_of(workbook({"A": [STRIPE_HEADER, row(source_id=8515123456789012.0)]}))
    with pytest.raises(UnusableCell, match="without opening it in Excel"):
        list(sheet.lines)


def test_sizes_are_limited_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    content = workbook({"A": [STRIPE_HEADER, row()]})
    far = workbook({"A": [STRIPE_HEADER, [*[None] * 16_383, "x"]]}, first_row=1_048_575)
    assert cell_name(1_048_576, 16_384) == "XFD1048576"
    assert "more than 1000000 cells" in refusal(far)
    monkeypatch.setattr(reader, "MAX_UNPACKED_BYTES", 1_000)
    assert "unpacks to more than" in refusal(content)
    monkeypatch.setattr(reader, "MAX_WORKBOOK_BYTES", 100)
    assert "The workbook is larger than" in refusal(content)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_damaged_workbook_is_refused(cut: float) -> None:
    content = workbook({"A": [STRIPE_HEADER, row()]})
    assert "The workbook" in refusal(content[: int(len(content) * cut)])


@given(st.integers(0, 2_000), st.binary(min_size=1, max_size=8))
def test_a_workbook_with_wrong_bytes_is_read_or_refused_without_a_crash(
    at: int, noise: bytes
) -> None:
    content = workbook({"A": [STRIPE_HEADER, row()]})
    at %= len(content)
    found = read_workbook(content[:at] + noise + content[at + len(noise) :])
    if isinstance(found, Refusal):
        assert found.reason
    else:
        assert all(isinstance(line, str) for line in found.lines)
