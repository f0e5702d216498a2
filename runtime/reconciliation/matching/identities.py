"""Ids of settlements, and the identity by which a repeated line is recognized. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from runtime.reconciliation.importers.layout import CONTENT_IDENTITY
from runtime.reconciliation.importers.line import ImportedLine, UnreadableLine
from runtime.reconciliation.settlements.models import (
    LATER_FILE_LINES,
    SETTLEMENT_PREFIX,
    SettlementFormat,
)

_ID_CHARACTERS: Final = 26
_IDENTITY_CHARACTERS: Final = 32
"""Of a SHA-256 in hexadecimal: 128 bits."""


ORDINAL: Final = re.compile(r"#([0-9]+)$")
"""Suffix of the identity of a line that repeats another one's of its file: the second has 2. An id
that ends so by itself has an ordinal too: 1 if it is the first."""


def is_repeated(identity: str) -> bool:
    """Whether a line has the identity of an earlier one in its file."""
    found = ORDINAL.search(identity)
    return found is not None and found[1] != "1"


def settlement_id(
    merchant_id: str, layout: SettlementFormat, payout_reference: str | None, file_name: str
) -> str:
    """The settlement of a payout; lines without a payout belong to that of the file's name.

    A corrected file of the same name, or another file about the same payout, finds it again.
    """
    of_what = ("file", file_name) if payout_reference is None else ("payout", payout_reference)
    digest = _digest(merchant_id, layout, *of_what)
    return f"{SETTLEMENT_PREFIX}{digest[:_ID_CHARACTERS].upper()}"


@dataclass(frozen=True, slots=True)
class IdentityIds:
    """Keys of a line in settlement_identities.

    `here`: the key of a line that exists beside the same line in another settlement; None if a
    line is in one settlement at a time.
    """

    id: str
    here: str | None = None


def identity_ids(
    merchant_id: str,
    layout: SettlementFormat,
    settlement: str,
    line: ImportedLine | UnreadableLine,
    *,
    duplicate: bool = False,
) -> IdentityIds:
    """The keys of a line.

    A processor's ids are unique, so such a line is the same in any settlement, and the latest file
    decides in which it is. Our own layout has no ids of lines, only of their counterparts: if two
    of its files both report a payment as paid out, the second is a duplicate beside the first. Its
    lines without an id are identified by their content, which another file may repeat; so are
    `duplicate` ones, which have the id of another line of their file. An unreadable line is
    identified by its place.
    """
    if isinstance(line, UnreadableLine):
        return IdentityIds(unreadable_id(merchant_id, settlement, line.number))
    anywhere = _keyed(merchant_id, layout, "", line.identity)
    if layout is not SettlementFormat.CANONICAL:
        return IdentityIds(anywhere)
    here = _keyed(merchant_id, layout, settlement, line.identity)
    if duplicate or line.identity.startswith(CONTENT_IDENTITY):
        return IdentityIds(here)
    return IdentityIds(anywhere, here)


def unreadable_id(merchant_id: str, settlement: str, number: int) -> str:
    """The key of an unreadable line by its physical line in the settlement's files."""
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
