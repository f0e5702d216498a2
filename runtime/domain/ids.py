"""Ids that follow from what they name. Ids of what is new: `Outside.new_id` (core/outside.py)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from ulid import ULID

from runtime.core.ids import EPOCH, MILLISECOND, RANDOM_BYTES, id_at


def repeatable_id(prefix: str, moment: datetime, *meaning: str) -> str:
    """The one id of `meaning` at `moment`, the same for whoever makes it, and however often.

    Its time part is `moment`, to the millisecond; where others have chance it has a hash.
    """
    hashed = hashlib.sha256()
    for part in meaning:
        encoded = part.encode()
        hashed.update(len(encoded).to_bytes(4, "big") + encoded)
    return id_at(prefix, moment, hashed.digest()[:RANDOM_BYTES])


def lowest_id(prefix: str, moment: datetime) -> str:
    """No id made at or after `moment` sorts before this."""
    return id_at(prefix, moment, bytes(RANDOM_BYTES))


def highest_id(prefix: str, moment: datetime) -> str:
    """No id made at or before `moment` sorts after this."""
    return id_at(prefix, moment, b"\xff" * RANDOM_BYTES)


def created_at(identifier: str) -> datetime:
    """When an id was made. Raises ValueError if it holds no ULID, or one past the year 9999."""
    milliseconds = ULID.from_str(identifier.partition("_")[2]).milliseconds
    try:
        return EPOCH + milliseconds * MILLISECOND
    except OverflowError as overflow:
        raise ValueError(f"{identifier} is of no date that there is") from overflow
