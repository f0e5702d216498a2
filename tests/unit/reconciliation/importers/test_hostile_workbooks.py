"""Workbooks made to exhaust the memory or to crash the process are refused before that."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from runtime.reconciliation.importers import workbook as reader
from runtime.reconciliation.importers.layout import Refusal
from runtime.reconciliation.importers.workbook import Sheet, read_workbook
from tests.support.reconciliation.render import CANONICAL_HEADER
from tests.support.reconciliation.workbooks import workbook

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "xl/_rels/workbook.xml.rels"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET = "xl/worksheets/sheet1.xml"
PLAIN = workbook({"A": [CANONICAL_HEADER]})


def with_rows(rows: str, *, behind: bytes = b"") -> bytes:
    """The workbook with these rows below its header; `behind` ends the sheet's XML."""
    parts = _parts()
    parts[SHEET] = parts[SHEET].replace(b"</sheetData>", rows.encode() + b"</sheetData>") + behind
    return _packed(parts)


def with_texts(texts: str) -> bytes:
    """The workbook with these shared texts."""
    parts = _parts()
    related = f'<Relationship Id="rId9" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    parts[RELATIONS] = parts[RELATIONS].replace(b"</Rel", related.encode() + b"</Rel")
    parts["xl/sharedStrings.xml"] = texts.encode()
    return _packed(parts)


def _parts() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as plain:
        return {each: plain.read(each) for each in plain.namelist()}


def _packed(parts: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return packed.getvalue()


def refusal(content: bytes) -> str:
    refused = read_workbook(content)
    assert isinstance(refused, Refusal), refused
    return refused.reason


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="2"><c r="XFD2"><v>1</v></c><c r="A1048576"><v>1</v></c></row>',
        '<row r="2"><c r="xfd2"><v>1</v></c><c r="a1048576"><v>1</v></c></row>',
        f'<row r="2"><c r="XFD2"><v>1</v></c><c r="A{"0" * 5_000}1048576"><v>1</v></c></row>',
        f'<row r="2"><c r="XFD2"><v>1</v></c><c r{" " * 5_000}="A1048576"><v>1</v></c></row>',
        f'<row r="2"><c r="{"A" * 5_000}2"><v>1</v></c></row>',
    ],
    ids=["plainly", "in lower case", "with zeros", "with blanks", "beyond the last column"],
)
@pytest.mark.parametrize("padding", [0, 2_000])
def test_a_distant_cell_is_found_however_it_is_named(
    rows: str, padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_READ_BYTES", 1_500)
    reason = refusal(with_rows("x" * padding + rows))
    assert "more than 1000000 cells" in reason or "does not name its cells" in reason


@pytest.mark.parametrize(
    "cell", ["<c>", "<c/>", '<c s="1">', "<x:c>", "<c s=' r=\"A1\"'>", '<c r="">', "<c\tt='n'>"]
)
def test_a_cell_without_a_name_is_refused(cell: str) -> None:
    row = f'<row r="1048576">{cell}<v>1</v></c></row>'
    assert "does not name its cells" in refusal(with_rows(row))


@pytest.mark.parametrize(
    "count", ["18446744073709551615", "99999999999", f"{'0' * 5_000}99999999999"]
)
def test_a_false_number_of_texts_is_refused(count: str) -> None:
    texts = f'<sst xmlns="{MAIN}" uniqueCount="{count}"><si><t>x</t></si></sst>'
    reason = refusal(with_texts(texts))
    assert "is damaged" in reason or "does not name" in reason
    honest = f'<sst xmlns="{MAIN}" count="1" uniqueCount="1"><si><t>x</t></si></sst>'
    assert isinstance(read_workbook(with_texts(honest)), Sheet)


def test_a_panic_of_the_reader_is_a_refusal_and_a_process_exit_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opened(*_: object) -> None:
        raise ended

    monkeypatch.setattr(reader.CalamineWorkbook, "from_filelike", opened, raising=True)
    ended: BaseException = type("PanicException", (BaseException,), {})()
    assert "cannot be read" in refusal(PLAIN)
    ended = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        read_workbook(PLAIN)


def test_other_parts_and_attributes_are_not_mistaken_for_cells() -> None:
    rows = '<row r="2"><c r="A2" t="inlineStr"><is><t>error="Bad", &lt;c></t></is></c></row>'
    assert isinstance(read_workbook(with_rows(rows)), Sheet)


def test_the_real_size_of_a_part_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_UNPACKED_BYTES", 100_000)
    content = with_rows("", behind=b" " * 200_000)
    assert "unpacks to more than" in refusal(content)
    assert "unpacks to more than" in refusal(_saying(content, size=500))


def _saying(content: bytes, size: int) -> bytes:
    """The workbook with another size, and its CRC, in the directory entry of its sheet."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        beginning = file.read(SHEET)[:size]
    forged = bytearray(content)
    entry = content.index(SHEET.encode(), content.index(b"PK\x01\x02")) - 46
    struct.pack_into("<I", forged, entry + 16, zlib.crc32(beginning))
    struct.pack_into("<I", forged, entry + 24, size)
    return bytes(forged)
