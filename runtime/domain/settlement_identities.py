"""Ids of settlements, and what makes a line the same line when it comes again. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from runtime.domain.settlement_formats.line import ImportedLine, UnreadableLine
from runtime.models.settlement import LATER_FILE_LINES, SETTLEMENT_PREFIX, SettlementFormat

_ID_CHARACTERS: Final = 26
_IDENTITY_CHARACTERS: Final = 32
"""Of a SHA-256 in hexadecimal: 128 bits."""


def settlement_id(
    merchant_id: str, layout: SettlementFormat, payout_reference: str | None, file_name: str
) -> str:
    """The settlement of a payout; lines that name no payout belong to that of the file's name.

    A corrected file of the same name, or another file about the same payout, finds it again.
    """
    of_what = ("file", file_name) if payout_reference is None else ("payout", payout_reference)
    digest = _digest(merchant_id, layout, *of_what)
    return f"{SETTLEMENT_PREFIX}{digest[:_ID_CHARACTERS].upper()}"


def identity_id(
    merchant_id: str,
    layout: SettlementFormat,
    settlement: str,
    line: ImportedLine | UnreadableLine,
) -> str:
    """The key of a line in settlement_identities.

    A processor's ids are unique, so such a line is the same in whichever settlement it comes. Our
    own layout has no ids of lines: a payment that stands in two of its files was paid out twice,
    and the second one must be a duplicate. A line that cannot be read is known by its place.
    """
    if isinstance(line, UnreadableLine):
        return unreadable_id(merchant_id, settlement, line.number)
    scope = settlement if layout is SettlementFormat.CANONICAL else ""
    return _keyed(merchant_id, layout, scope, line.identity)


def unreadable_id(merchant_id: str, settlement: str, number: int) -> str:
    """The key of what could not be read on a physical line of the settlement's files."""
    return _keyed(merchant_id, "unreadable", settlement, str(number))


def line_number(position: int, number: int) -> int:
    """Number in its settlement of a physical line of the settlement's file at `position`, from 0.

    Raises ValueError for a file longer than LATER_FILE_LINES lines.
    """
    if number >= LATER_FILE_LINES:
        raise ValueError(f"line {number}: a settlement file has at most {LATER_FILE_LINES} lines")
    return position * LATER_FILE_LINES + number


def _keyed(merchant_id: str, *meaning: str) -> str:
    return f"{merchant_id}#{_digest(*meaning)[:_IDENTITY_CHARACTERS]}"


def _digest(*meaning: str) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in meaning]).encode()).hexdigest()
