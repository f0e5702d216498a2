"""Exported rows as text: CSV that no spreadsheet executes, and JSON Lines that are exact.

CSV is RFC 4180: CRLF line ends, quoted where needed, UTF-8 without a byte order mark. A text cell
that a spreadsheet would take for a formula gets a leading apostrophe (OWASP, "CSV Injection").
Numbers stay numbers, `-5` included: as a formula they are nothing but their value.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - spreadsheets take these too
"""With these first characters a cell is evaluated; the full-width ones where Asian input is on."""
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
HARMLESS_PREFIX: Final = "'"


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows of JSON values as CSV. Null is an empty cell; objects and lists are compact JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def json_line(row: Mapping[str, Any]) -> bytes:
    """One row as a line of JSON, with nothing left out or changed."""
    return _compact(row).encode() + b"\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _compact(value)


def _harmless(text: str) -> str:
    is_formula = text[:1] in FORMULA_STARTS and not _NUMBER.fullmatch(text)
    return HARMLESS_PREFIX + text if text and is_formula else text


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
