"""Records of delimited text: a record may run over several physical lines inside quotes."""

from __future__ import annotations

import csv

from runtime.domain.settlement_formats.layout import Layout, Unreadable
from runtime.domain.settlement_formats.line import ImportedLine, UnreadableLine


def cells_of(record: str, delimiter: str = ",") -> list[str]:
    """The cells of one record, without its line end (RFC 4180). Raises Unreadable."""
    try:
        return next(csv.reader([record], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise Unreadable(f"not readable as CSV: {error}") from error


def parse_record(
    layout: Layout, number: int, record: str, delimiter: str = ","
) -> ImportedLine | UnreadableLine | None:
    """Read one record of a file of `layout`; see Layout.parse."""
    try:
        cells = cells_of(record, delimiter)
    except Unreadable as unreadable:
        return UnreadableLine(number, str(unreadable))
    return layout.parse(number, cells)
