"""A minimal writer of Excel workbooks, for tests: cells as Excel stores them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

Cell = str | float | tuple[str, str] | None
"""A text, a number, or a number as its stored digits with the name of a style."""

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_ALWAYS = (2026, 1, 1, 0, 0, 0)
"""Date of the parts, which are not compressed, so that the same cells give the same bytes."""
_STYLES = {"number": 0, "date": 1}


def workbook(
    sheets: Mapping[str, Sequence[Sequence[Cell]]],
    *,
    hidden: Sequence[str] = (),
    first_row: int = 1,
) -> bytes:
    """The bytes of an .xlsx with these sheets."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        parts = {
            "[Content_Types].xml": _content_types(len(sheets)),
            "_rels/.rels": _relations({"rId1": ("officeDocument", "xl/workbook.xml")}),
            "xl/workbook.xml": _book(list(sheets), hidden),
            "xl/_rels/workbook.xml.rels": _relations(
                {
                    "rId0": ("styles", "styles.xml"),
                    **{
                        f"rId{number}": ("worksheet", f"worksheets/sheet{number}.xml")
                        for number in range(1, len(sheets) + 1)
                    },
                }
            ),
            "xl/styles.xml": (
                f'<styleSheet xmlns="{_MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
                '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
            ),
        }
        for number, rows in enumerate(sheets.values(), start=1):
            parts[f"xl/worksheets/sheet{number}.xml"] = _sheet(rows, first_row)
        for name, text in parts.items():
            file.writestr(
                zipfile.ZipInfo(name, _ALWAYS), f'<?xml version="1.0" encoding="UTF-8"?>{text}'
            )
    return packed.getvalue()


def cell_name(row: int, column: int) -> str:
    """Such as B7, from row and column numbers that begin with 1."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row}"


def _sheet(rows: Sequence[Sequence[Cell]], first_row: int) -> str:
    lines = (
        f'<row r="{at}">{"".join(_cell(at, n, cell) for n, cell in enumerate(row, start=1))}</row>'
        for at, row in enumerate(rows, start=first_row)
    )
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def _cell(row: int, column: int, cell: Cell) -> str:
    name = cell_name(row, column)
    if cell is None:
        return ""
    if isinstance(cell, str):
        text = f'<is><t xml:space="preserve">{escape(cell)}</t></is>'
        return f'<c r="{name}" t="inlineStr">{text}</c>'
    digits, style = cell if isinstance(cell, tuple) else (repr(cell), "number")
    return f'<c r="{name}" s="{_STYLES[style]}"><v>{digits}</v></c>'


def _book(names: Sequence[str], hidden: Sequence[str]) -> str:
    sheets = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"'
        + (' state="hidden"/>' if name in hidden else "/>")
        for number, name in enumerate(names, start=1)
    )
    return f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>'


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    related = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}">{related}</Relationships>'


def _content_types(sheets: int) -> str:
    spreadsheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" '
        f'ContentType="{spreadsheet}.worksheet+xml"/>'
        for number in range(1, sheets + 1)
    )
    return (
        f'<Types xmlns="{_TYPES}">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{spreadsheet}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{spreadsheet}.styles+xml"/>'
        f"{overrides}</Types>"
    )
