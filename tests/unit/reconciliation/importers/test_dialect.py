"""A file's format from its first bytes: recognized, or refused with advice."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.reconciliation.importers.dialect import HEAD_BYTES, TextFile, WorkbookFile, sniff
from runtime.reconciliation.importers.layout import Refusal
from runtime.reconciliation.settlements.models import SettlementFormat
from tests.support.reconciliation.render import HEADERS

FORMATS = sorted(HEADERS)
MARKS = {"utf-8-sig": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


def header(layout: SettlementFormat, delimiter: str = ",") -> str:
    return delimiter.join(HEADERS[layout])


def text_file(head: bytes, *, whole: bool = True) -> TextFile:
    found = sniff(head, whole=whole)
    assert isinstance(found, TextFile), found
    return found


def refusal(head: bytes, *, whole: bool = True) -> str:
    found = sniff(head, whole=whole)
    assert isinstance(found, Refusal), found
    return found.reason


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
def test_a_layout_is_found_with_every_delimiter_and_line_end(
    layout: SettlementFormat, delimiter: str, line_end: str
) -> None:
    found = text_file((header(layout, delimiter) + line_end).encode())
    assert (found.encoding, found.start, found.delimiter) == ("utf-8", 0, delimiter)
    assert (found.layout.format, found.header) == (layout, header(layout, delimiter))


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
    ],
)
def test_encodings_are_recognized_with_and_without_a_byte_order_mark(
    encoding: str, mark: bytes
) -> None:
    found = text_file(mark + (header(SettlementFormat.STRIPE) + "\r\nü,…\r\n").encode(encoding))
    assert (found.encoding, found.start) == (encoding, len(mark))
    assert found.header == header(SettlementFormat.STRIPE)


def test_a_header_may_be_quoted_and_have_a_line_break_in_a_name() -> None:
    quoted = ",".join(f'"{name}"' for name in HEADERS[SettlementFormat.ADYEN])
    found = text_file(f'{quoted},"a\nnote"\r\nrow'.encode())
    assert found.layout.format is SettlementFormat.ADYEN
    assert found.header.endswith('"a\nnote"')


def archive(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return packed.getvalue()


def test_an_excel_workbook_is_recognized() -> None:
    assert sniff(archive("[Content_Types].xml", "xl/workbook.xml"), whole=True) == WorkbookFile()


REFUSED = [
    (b"", "The file is empty"),
    (b"\xef\xbb\xbf", "blank lines only"),
    (b"\n \r\n\n", "blank lines only"),
    (b"%PDF-1.7\n%\xe2", "This is a PDF. Export the report as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "old Excel workbook (.xls)"),
    (gzip.compress(b"a,b\n", mtime=0), "This is a gzip archive. Unpack it"),
    (archive("report.csv"), "This is a ZIP archive. Unpack it"),
    (archive("[Content_Types].xml", "word/document.xml"), "an Office document"),
    (archive(), "This is a ZIP archive"),
    (b"  <!DOCTYPE html><html>", "This is a web page"),
    (b"<html>\n<body>", "This is a web page"),
    (b"<?xml version='1.0'?>", "This is an XML file"),
    (json.dumps({"a": 1}).encode(), "This is a JSON file"),
    (b'\xef\xbb\xbf[{"a": 1}]', "This is a JSON file"),
    (b"{\\rtf1\\ansi", "This is a text document (RTF)"),
    (b"\x00\x01\x02\x03\x04", "This is not a text file"),
    (b"\x89PNG\r\n\x1a\n", "This is an image"),
    (b"a,b,c\n1,2,3\n", "The first line begins with the columns a, b, c, which is not"),
    (b"a;b\n", "The first line begins with the columns a, b, which is not"),
    (b"\na,b\n", "The first line is blank"),
    (b'"never closed\n', "not readable as CSV"),
    (header(SettlementFormat.CANONICAL).encode() + b"\rpay_1,txn_1", "carriage return alone"),
    (header(SettlementFormat.STRIPE).replace(",net,", ",").encode(), "without the column net"),
    (header(SettlementFormat.STRIPE, "|").encode(), "which is not the header of a known"),
]


@pytest.mark.parametrize(("head", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_an_unreadable_file_is_refused_with_its_format_and_advice(head: bytes, reason: str) -> None:
    assert reason in refusal(head)


def test_an_endless_first_line_is_refused() -> None:
    assert f"longer than {HEAD_BYTES} bytes" in refusal(b"a" * HEAD_BYTES, whole=False)
    assert "which is not the header" in refusal(b"a" * 10_000)


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_recognized_or_refused_without_a_crash(head: bytes, whole: bool) -> None:
    for content in (head, *(mark + head for mark in MARKS.values())):
        assert isinstance(sniff(content, whole=whole), TextFile | WorkbookFile | Refusal)
