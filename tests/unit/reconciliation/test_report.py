"""The report of a settlement: its content, its escaping, and that it is self-contained."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.delimited_text import csv_lines
from runtime.core.money import decimal_text, grouped
from runtime.reconciliation.exceptions.guidance import GUIDANCE
from runtime.reconciliation.files.models import FileStatus, SettlementFile
from runtime.reconciliation.reports.lines import COLUMNS, line_cells
from runtime.reconciliation.reports.markup import element
from runtime.reconciliation.reports.page import POLICY, Report, report_page, verdict_of
from runtime.reconciliation.settlements.models import (
    NO_EXCEPTION,
    CurrencyTotal,
    ExpectedAmounts,
    LineStatus,
    LineType,
    Resolution,
    ResolutionAction,
    Settlement,
    SettlementFormat,
    SettlementLine,
    SettlementStatus,
    TypeTotal,
)

NOW = "2026-03-16T10:00:00.000Z"
STAMP = {
    "created_at": NOW,
    "updated_at": NOW,
    "merchant_id": "mer_1",
    "changed_by": "reconcile",
    "request_id": "r",
    "cause": "c",
}
HOSTILE = "</td><script>alert(1)</script>&\"'"


def total(count: int, amount: int, fee: int) -> dict[str, TypeTotal]:
    return {"USD": TypeTotal(count=count, amount=amount, fee=fee, net=amount - fee)}


def settlement(**changes: Any) -> Settlement:
    """The example of the processor's documentation: 24.05 - 10.00 - 45.00 - 0.50 = -31.45."""
    values: dict[str, Any] = {
        "id": "set_1",
        "date": "2026-03-15",
        "status": SettlementStatus.COMPLETED_WITH_EXCEPTIONS,
        "format": SettlementFormat.STRIPE,
        "payout_reference": "po_1",
        "source": "reconciliation/mer_1/po.csv",
        "sha256": "0" * 64,
        "file_ids": ("fil_1",),
        "counts": {LineStatus.MATCHED: 3, LineStatus.AMOUNT_MISMATCH: 1},
        "open_exceptions": 1,
        "totals": {"USD": CurrencyTotal(amount=2500, fee=95, net=2405)},
        "by_type": {
            "capture": total(1, 2500, 95),
            "refund": total(1, -1000, 0),
            "dispute": total(1, -3000, 1500),
            "fee": total(1, -50, 0),
            "payout": total(1, 3145, 0),
        },
        "payout": {"USD": -3145},
        "remainder": {"USD": 0},
        **STAMP,
    }
    return Settlement(**{**values, **changes})


def line(**changes: Any) -> SettlementLine:
    values: dict[str, Any] = {
        "settlement_bucket": "set_1#000",
        "line": 3,
        "file_line": 3,
        "settlement_id": "set_1",
        "status": LineStatus.AMOUNT_MISMATCH,
        "type": LineType.CAPTURE,
        "category": "charge",
        "reason": "The file says 25.00 USD; we have 26.00 USD.",
        "payment_id": "pay_1",
        "amount": 2500,
        "fee": 95,
        "net": 2405,
        "currency": "USD",
        "expected": ExpectedAmounts(amount=2600, currency="USD", status="succeeded"),
        **STAMP,
    }
    return SettlementLine(**{**values, **changes})


def report(
    of: Settlement | None = None,
    lines: Sequence[SettlementLine] = (),
    resolved: Sequence[SettlementLine] = (),
    **changes: Any,
) -> str:
    values: dict[str, Any] = {
        "settlement": of or settlement(),
        "merchant_name": "Corner Books",
        "files": [
            SettlementFile(
                id="fil_1",
                merchant_status="mer_1#completed",
                name="po.csv",
                key="reconciliation/mer_1/po.csv",
                status=FileStatus.COMPLETED,
                sha256="ab" * 32,
                lines=5,
                **STAMP,
            )
        ],
        "open_lines": lines,
        "resolved_lines": resolved,
        "made_at": NOW,
        "made_for": "finance@example.com",
    }
    return report_page(Report(**{**values, **changes}))


class Page(HTMLParser):
    """Tags, addresses and texts of a page; every element must be closed in order."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset"):
                self.addresses.append(str(value))
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def shown(text: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Page(text).texts))


def test_the_payout_is_explained_from_its_types_to_the_remainder() -> None:
    text = shown(report())
    for row in (
        "capture 1 25.00 0.95 24.05",
        "refund 1 -10.00 0.00 -10.00",
        "dispute 1 -30.00 15.00 -45.00",
        "fee 1 -0.50 0.00 -0.50",
        "Sum of all lines 4 -15.50 15.95 -31.45",
        "Paid out -31.45",
        "Remainder (paid out less sum of all lines) 0.00",
    ):
        assert row in text, row
    assert "payout 1 31.45" not in text, "a payout line is the control total, not a part of it"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "The payout is explained to the last unit by its lines. 1 line needs a decision."),
        (
            {"open_exceptions": 0, "status": SettlementStatus.COMPLETED},
            "The payout is explained to the last unit by its lines. Nothing is left to do.",
        ),
        (
            {"remainder": {"USD": -123456, "JPY": 5}, "open_exceptions": 2},
            "-1,234.56 USD and 5 JPY of the payout is not explained by its lines. "
            "2 lines need a decision.",
        ),
        (
            {"payout": {}, "remainder": {}},
            "The files name no payout, so a remainder cannot be computed.",
        ),
        ({"status": SettlementStatus.PROCESSING}, "still being processed"),
        (
            {"status": SettlementStatus.REJECTED, "rejection_reason": "a PDF"},
            "Rejected: a PDF",
        ),
    ],
)
def test_the_first_sentence_says_whether_there_is_something_to_do(
    changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in verdict_of(settlement(**changes))
    assert sentence in shown(report(settlement(**changes)))


def test_an_exception_is_shown_with_our_values_and_what_to_do() -> None:
    text = shown(report(lines=[line()]))
    assert "Amount differs : The file says 25.00 USD; we have 26.00 USD." in text
    assert "26.00 USD, succeeded pay_1" in text
    assert GUIDANCE[LineStatus.AMOUNT_MISMATCH].to_do in text


def test_exceptions_that_are_not_shown_are_counted_with_a_link() -> None:
    text = shown(report(settlement(open_exceptions=999), [line()]))
    assert "Open exceptions (999)" in text
    assert "Shown here: 1." in text
    assert "Shown here: 0." in shown(report(settlement(open_exceptions=999)))


def test_a_resolved_exception_shows_who_resolved_it_when_and_why() -> None:
    resolution = Resolution(
        action=ResolutionAction.WRITE_OFF, note="agreed by phone", by="ada", at=NOW
    )
    of = settlement(open_exceptions=0)
    text = shown(report(of, resolved=[line(resolution=resolution)]))
    assert f"write off agreed by phone ada, {NOW}" in text


def test_every_value_is_escaped() -> None:
    resolution = Resolution(action=ResolutionAction.IGNORE, note=HOSTILE, by=HOSTILE, at=NOW)
    hostile = line(
        reason=HOSTILE,
        category=HOSTILE,
        payment_id=HOSTILE,
        processor_ids=(HOSTILE,),
        expected=ExpectedAmounts(amount=1, currency="USD", status=HOSTILE),
    )
    page = report(
        settlement(
            payout_reference=HOSTILE,
            by_type={HOSTILE: total(1, 1, 0)},
            counts={LineStatus.AMOUNT_MISMATCH: 2},
        ),
        [hostile],
        [hostile.model_copy(update={"resolution": resolution})],
        merchant_name=HOSTILE,
        made_for=HOSTILE,
    )
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 14


def test_the_page_loads_and_runs_nothing() -> None:
    page = report(lines=[line()])
    parsed = Page(page)
    assert parsed.addresses == []
    assert parsed.handlers == []
    assert POLICY in page
    assert "url(" not in page
    assert "http:" not in page
    assert "https:" not in page


def test_every_status_has_a_meaning_and_every_exception_something_to_do() -> None:
    assert set(GUIDANCE) == set(LineStatus)
    for status, guidance in GUIDANCE.items():
        assert (guidance.to_do is None) == (status in NO_EXCEPTION), status


def test_csv_has_decimals_and_no_formulas() -> None:
    resolution = Resolution(action=ResolutionAction.ACCEPT, note="=1+1", by="ada", at=NOW)
    rows = [
        line_cells(line(amount=-2500, net=-2595, category="@SUM(A1)", resolution=resolution)),
        line_cells(line(amount=5, currency="JPY", type=None, expected=None)),
        line_cells(line(amount=None, fee=None, net=None, currency=None)),
    ]
    text = csv_lines([list(COLUMNS), *rows]).decode()
    first, second, third = csv.DictReader(io.StringIO(text))
    assert (first["amount"], first["net"], first["expected_amount"]) == (
        "-25.00",
        "-25.95",
        "26.00",
    )
    assert (first["category"], first["resolution_note"]) == ("'@SUM(A1)", "'=1+1")
    assert (first["resolution"], first["resolved_by"]) == ("accept", "ada")
    assert (second["amount"], second["type"], second["expected_amount"]) == ("5", "", "")
    assert (third["amount"], third["currency"]) == ("", "")


@given(st.integers(-(10**15), 10**15), st.sampled_from(["USD", "JPY", "KWD"]))
def test_grouping_changes_no_digit(amount: int, currency: str) -> None:
    plain = decimal_text(amount, currency)
    assert grouped(plain).replace(",", "") == plain


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_text_escapes_from_its_element(value: str, attribute: str) -> None:
    page = str(element("p", value, title=attribute))
    assert page.count("<") == 2
    parsed = Page(page)
    assert parsed.tags == {"p"}
