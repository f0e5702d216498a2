"""The format of a file, by its first bytes: encoding, delimiter and layout, or a refusal. Pure.

Only unambiguous files are read. A refusal says what the file is and what to do about it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runtime.reconciliation.importers.cells import cells_of
from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import Layout, Refusal, Unreadable
from runtime.reconciliation.importers.paypal import COLUMNS, PREAMBLE

HEAD_BYTES: Final = 64 * 1024
"""Bytes read to recognize a file. The header of a report has some two thousand."""
MAX_PREAMBLE_RECORDS: Final = 8
"""Records of a PayPal report before the one with the column names: there are one to three."""
DELIMITERS: Final = (",", ";", "\t")
UTF_8: Final = "utf-8"

_EXPORT_CSV = "Export the report as CSV and upload that."
_UNPACK = "Unpack it and upload the CSV file that it holds."
_SIGNATURES: Final = (
    (b"%PDF", f"This is a PDF. {_EXPORT_CSV}"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "This is an old Excel workbook (.xls), or one that is protected by a password. Save it as "
        ".xlsx without a password, or as CSV, and upload that.",
    ),
    (b"\x1f\x8b", f"This is a gzip archive. {_UNPACK}"),
    (b"BZh", f"This is a bzip2 archive. {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"This is an xz archive. {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"This is a Zstandard archive. {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"This is a 7z archive. {_UNPACK}"),
    (b"Rar!", f"This is a RAR archive. {_UNPACK}"),
    (b"\x89PNG", f"This is an image. {_EXPORT_CSV}"),
    (b"\xff\xd8\xff", f"This is an image. {_EXPORT_CSV}"),
    (b"PAR1", f"This is a Parquet file. {_EXPORT_CSV}"),
)
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_TEXTS: Final = (
    ("<!doctype html", f"This is a web page, perhaps of a login that had ended. {_EXPORT_CSV}"),
    ("<html", f"This is a web page, perhaps of a login that had ended. {_EXPORT_CSV}"),
    ("<?xml", f"This is an XML file. {_EXPORT_CSV}"),
    ("{", f"This is a JSON file. {_EXPORT_CSV}"),
    ("[", f"This is a JSON file. {_EXPORT_CSV}"),
    ("{\\rtf", f"This is a text document (RTF). {_EXPORT_CSV}"),
)
_KIND = re.compile(r'"?(?P<kind>[A-Z]{2})"?[,;\t]')
_UTF_16_SAMPLE = 64
"""Patterns that identify UTF-16 without a byte order mark: the names of columns are ASCII."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """Delimited text: `encoding` and `delimiter`, and the header's layout.

    `encoding` is utf-8, utf-16-le or utf-16-be. The text begins at byte `start`, after the byte
    order mark if there is one. `header` is the record that names the columns, without its line end.
    """

    encoding: str
    start: int
    delimiter: str
    header: str
    layout: Layout


@dataclass(frozen=True, slots=True)
class WorkbookFile:
    """An Excel workbook (.xlsx); see workbook.py."""


def sniff(head: bytes, *, whole: bool) -> TextFile | WorkbookFile | Refusal:
    """The format of a file that begins with `head`, its first HEAD_BYTES or all of it (`whole`)."""
    if not head:
        return Refusal("The file is empty. Export the report again.")
    if (known := _by_signature(head)) is not None:
        return known
    encoding, start = _encoding(head)
    text = head[start:].decode(encoding, "replace")
    if "\x00" in text:
        return Refusal(f"This is not a text file. {_EXPORT_CSV}")
    if not text.strip():
        return Refusal("The file holds blank lines only. Export the report again.")
    beginning = text.lstrip().lower()
    for opening, reason in reversed(_TEXTS):
        if beginning.startswith(opening):
            return Refusal(reason)
    header = _header(text, whole=whole)
    return header if isinstance(header, Refusal) else _delimited(encoding, start, header)


def _by_signature(head: bytes) -> WorkbookFile | Refusal | None:
    for signature, reason in _SIGNATURES:
        if head.startswith(signature):
            return Refusal(reason)
    if not head.startswith((_ZIP, _EMPTY_ZIP)):
        return None
    if b"opendocument.spreadsheet" in head:
        return Refusal(f"This is an OpenDocument spreadsheet. {_EXPORT_CSV}")
    if b"word/" in head or b"ppt/" in head:
        return Refusal(f"This is an Office document, not a workbook. {_EXPORT_CSV}")
    if b"xl/" in head or b"[Content_Types].xml" in head:
        return WorkbookFile()
    return Refusal(f"This is a ZIP archive. {_UNPACK}")


def _encoding(head: bytes) -> tuple[str, int]:
    """Encoding of a text and the length of its byte order mark."""
    for mark, encoding in (
        (codecs.BOM_UTF8, UTF_8),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            return encoding, len(mark)
    sample = head[:_UTF_16_SAMPLE]
    even, odd = sample[0::2], sample[1::2]
    if len(sample) >= 4 and not any(odd) and all(even):
        return "utf-16-le", 0
    if len(sample) >= 4 and not any(even) and all(odd):
        return "utf-16-be", 0
    return UTF_8, 0


def _header(text: str, *, whole: bool) -> str | Refusal:
    """The record with the column names: the first, or PayPal's after the preceding ones."""
    start = 0
    for _ in range(MAX_PREAMBLE_RECORDS + 1):
        end = _record_end(text, start)
        record = text[start:end].rstrip("\r")
        if end is None and (refusal := _endless(record, whole=whole)) is not None:
            return refusal
        kind = _KIND.match(record)
        if kind is None or kind["kind"] not in PREAMBLE:
            return record
        if end is None:
            break
        start = end + 1
    return Refusal(
        f"This is a report of PayPal without the record {COLUMNS}, which names its columns. "
        "Download it again."
    )


def _record_end(text: str, start: int) -> int | None:
    """The position of the line feed of the record that begins at `start`, outside quotes."""
    quoted = False
    for at in range(start, len(text)):
        if text[at] == '"':
            quoted = not quoted
        elif text[at] == "\n" and not quoted:
            return at
    return None


def _endless(record: str, *, whole: bool) -> Refusal | None:
    if "\r" in record.split("\n", 1)[0]:
        return Refusal(
            "The lines of the file end in a carriage return alone, as on old Macs. Save it with "
            "Windows or Unix line ends."
        )
    if whole:
        return None
    return Refusal(
        f"The first line of the file is longer than {HEAD_BYTES} bytes, so this is not a "
        f"settlement file. {_EXPORT_CSV}"
    )


def _delimited(encoding: str, start: int, header: str) -> TextFile | Refusal:
    """By the delimiter with which the header is that of a known layout.

    It is unambiguous: no column name contains a delimiter.
    """
    refusals: list[tuple[int, Refusal]] = []
    for delimiter, cells in _splits(header):
        found = layout_of(cells)
        if isinstance(found, Layout):
            return TextFile(encoding, start, delimiter, header, found)
        refusals.append((len(cells), found))
    if not refusals:
        return Refusal(f"The first line of the file is not readable as CSV. {_EXPORT_CSV}")
    return max(refusals, key=lambda refusal: refusal[0])[1]


def _splits(header: str) -> Iterator[tuple[str, list[str]]]:
    for delimiter in DELIMITERS:
        try:
            yield delimiter, cells_of(header, delimiter)
        except Unreadable:
            continue
