"""Exported rows as text: CSV that is safe in spreadsheets, and exact JSON Lines.

CSV is RFC 4180: CRLF line ends, quoted where needed, UTF-8 without a byte order mark. A text cell
that a spreadsheet would evaluate as a formula gets a leading apostrophe (OWASP, "CSV Injection").
Numbers, including `-5`, are unchanged: as a formula they evaluate to themselves.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - spreadsheets take these too
"""Cells starting with these are evaluated; the full-width ones with Asian input enabled."""
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
HARMLESS_PREFIX: Final = "'"


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows of JSON values as CSV. Null is an empty cell; objects and lists are compact JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def json_line(row: Mapping[str, Any]) -> bytes:
    """One row as a line of JSON, complete and unchanged."""
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
