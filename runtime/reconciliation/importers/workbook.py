"""Excel workbooks as the CSV that Excel would have saved. Pure; read with calamine.

Conversion of cells to text:
- a whole number: its digits, without `.0`;
- another number: 15 significant digits, which is what Excel keeps and shows, so 24.05 stored as
  24.049999999999997 is 24.05; never in scientific notation;
- a date or time: ISO 8601;
- a line break inside a text: a blank, so that row and line numbers are the same.
Numbers of more than 15 digits, such as long references in cells that are not text, have lost their
last digits to Excel: such a workbook is refused.
"""

from __future__ import annotations

import copy
import csv
import datetime
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetVisibleEnum

from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import Layout, Refusal

MAX_WORKBOOK_BYTES: Final = 8 * 1024 * 1024
"""Of the file as it is uploaded: some 100,000 lines."""
MAX_UNPACKED_BYTES: Final = 96 * 1024 * 1024
"""Of what the file unpacks to."""
MAX_COUNTED: Final = 10_000_000
"""Texts that a workbook may claim to have. One within MAX_UNPACKED_BYTES has fewer."""
MAX_CELLS: Final = 1_000_000
"""Rows times columns of one sheet, all of which are in memory at once: some 70 MB, measured."""
EXACT_DIGITS: Final = 15
"""Significant digits that Excel keeps of a number."""
_EXACT_BELOW = 10.0**EXACT_DIGITS
_READ_BYTES = 1024 * 1024
_NAMED: Final = rb"""\s*=\s*["']"""
_TOKENS: Final = re.compile(
    rb"<(?:[^\s<>/:]*:)?(?P<cell>c)(?=[\s/>])(?:\s+r" + _NAMED + rb"([A-Za-z]+)([0-9]+))?"
    rb"|r(?<![\w:.-]r)" + _NAMED + rb"([A-Za-z]*)([0-9]*)"
    rb"|[cC]ount" + _NAMED + rb"([0-9]*)"
    rb"|(sheetData|<(?:[^\s<>/:]*:)?sst[\s>])"
)
"""What says how large a sheet is: cells by their names (A1), rows by their numbers; and how many
texts or others there are said to be. What only looks like such a name makes a part larger."""
_OVERLAP_BYTES: Final = 1024
"""Of two blocks, for a cell's name that spans both."""
_BLANKS: Final = bytes.maketrans(b"\t\r\n", b"   ")
_RUNS: Final = (b" " * (_OVERLAP_BYTES // 4), b"0" * (_OVERLAP_BYTES // 4))
"""Padding that makes a cell's name longer than the overlap; only hostile files have it."""
_AS_CSV = "Save the sheet as CSV and upload that."

_Cell = str | float | datetime.date | datetime.time | datetime.timedelta


@dataclass(frozen=True, slots=True)
class Sheet:
    """The sheet of a workbook that has a known header, as CSV: one line per row, header first.

    Each line ends in a line feed. `lines` can be iterated once, and raises UnusableCell.
    """

    name: str
    layout: Layout
    lines: Iterator[str]


class UnusableCell(ValueError):
    """A cell cannot be converted to text unambiguously; the message says what to do."""


def read_workbook(content: bytes) -> Sheet | Refusal:
    """The first visible sheet whose first row is the header of a known layout."""
    refusal = _too_large(content)
    if refusal is not None:
        return refusal
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        refusals: list[Refusal] = []
        for about in book.sheets_metadata:
            if about.visible is not SheetVisibleEnum.Visible:
                continue
            found = _sheet(about.name, book.get_sheet_by_name(about.name))
            if isinstance(found, Sheet):
                return found
            refusals.append(found)
    except BaseException as error:
        # A panic of calamine (in Rust) is not an Exception, and its class cannot be imported.
        is_panic = type(error).__name__ == "PanicException"
        if not (is_panic or isinstance(error, CalamineError | UnusableCell)):
            raise
        return Refusal(f"The workbook cannot be read ({type(error).__name__}). {_AS_CSV}")
    if len(refusals) == 1:
        return refusals[0]
    return Refusal(
        f"None of the {len(refusals)} sheets begins with the header of a known settlement file. "
        f"{_AS_CSV}"
    )


def _sheet(name: str, sheet: CalamineSheet) -> Sheet | Refusal:
    rows = iter(sheet.iter_rows())
    header = [_text(cell) for cell in next(rows, [])]
    layout = layout_of(header)
    if isinstance(layout, Refusal):
        return layout
    return Sheet(name, layout, _lines(header, rows))


def _lines(header: Sequence[str], rows: Iterator[Sequence[_Cell]]) -> Iterator[str]:
    yield _csv(header)
    for row in rows:
        yield _csv([_text(cell) for cell in row])


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _text(cell: _Cell) -> str:
    if isinstance(cell, str):
        return " ".join(cell.splitlines()) if not cell.isprintable() else cell
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return _number(cell)
    if isinstance(cell, datetime.timedelta):
        return str(cell)
    return cell.isoformat()


def _number(number: float) -> str:
    if not abs(number) < _EXACT_BELOW:
        raise UnusableCell(
            f"A cell holds the number {number!r}; Excel has rounded it to {EXACT_DIGITS} digits. "
            "Export the report as CSV and upload that, without opening it in Excel."
        )
    return f"{Decimal(f'{number:.{EXACT_DIGITS}g}'):f}"


def _too_large(content: bytes) -> Refusal | None:
    """Limits, before anything is unpacked into memory. The file's own statements are not trusted.

    A file of 2 KB can have one cell in the last row and column: 17 thousand million cells, for
    which calamine would exhaust the memory, or end the process.
    """
    if len(content) > MAX_WORKBOOK_BYTES:
        return Refusal(f"The workbook is larger than {_mebibytes(MAX_WORKBOOK_BYTES)}. {_AS_CSV}")
    unpacked = 0
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for part in archive.infolist():
                extent = _extent(archive, part, MAX_UNPACKED_BYTES - unpacked)
                unpacked += extent.size
                if unpacked > MAX_UNPACKED_BYTES:
                    limit = _mebibytes(MAX_UNPACKED_BYTES)
                    return Refusal(f"The workbook unpacks to more than {limit}. {_AS_CSV}")
                if extent.is_read and extent.has_odd_names:
                    return Refusal(
                        "The workbook does not name its cells (A1) as Excel does. Open it in Excel "
                        f"and save it again. Or: {_AS_CSV}"
                    )
                if extent.is_read and extent.counted > MAX_COUNTED:
                    raise zipfile.BadZipFile
                if extent.is_read and extent.cells > MAX_CELLS:
                    return Refusal(
                        f"A sheet of the workbook has more than {MAX_CELLS} cells. {_AS_CSV}"
                    )
    except (
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
    ):
        return Refusal(f"The workbook is damaged or protected by a password. {_AS_CSV}")
    return None


def _mebibytes(size: int) -> str:
    return f"{size // 1024**2} MiB"


@dataclass
class _Extent:
    """The unpacked size of a part: its bytes, and its range from the first to the farthest cell.

    `counted`: the largest number of items that it claims, for which calamine allocates memory.
    `is_read`: it contains cells, or their texts.
    """

    size: int = 0
    rows: int = 0
    columns: int = 0
    counted: int = 0
    is_read: bool = False
    has_odd_names: bool = False

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    @property
    def is_too_much(self) -> bool:
        too_many = self.cells > MAX_CELLS or self.counted > MAX_COUNTED
        return self.is_read and (self.has_odd_names or too_many)

    def take(self, text: bytes, end: int) -> None:
        """Count what begins before `end`."""
        plain = text.translate(_BLANKS)
        self.has_odd_names |= any(run in plain for run in _RUNS)
        for token in _TOKENS.finditer(text):
            if token.start() >= end:
                return
            cell, *names, count, is_read = token.groups()
            self.is_read |= is_read is not None
            self.counted = max(self.counted, int(count or 0))
            self.has_odd_names |= cell is not None and names[0] is None
            letters, digits = names[0] or names[2], names[1] or names[3]
            self.columns = max(self.columns, _column(letters or b""))
            self.rows = max(self.rows, int(digits or 0))


def _extent(archive: zipfile.ZipFile, part: zipfile.ZipInfo, most: int) -> _Extent:
    """The size of a part, of which hardly more than `most` bytes are unpacked."""
    real = copy.copy(part)
    # The directory may claim less than the real size, with a matching CRC: calamine unpacks it all.
    real.file_size = most + 1
    del real.CRC
    extent, rest = _Extent(), b""
    with archive.open(real) as stream:
        while not extent.is_too_much and (block := stream.read(_READ_BYTES)):
            extent.size += len(block)
            text = rest + block
            end = max(len(text) - _OVERLAP_BYTES, 0)
            extent.take(text, end)
            rest = text[end:]
    extent.take(rest, len(rest))
    return extent


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - ord("A") + 1
    return number
