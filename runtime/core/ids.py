"""The form of ids: a prefix and a ULID, so that the order of ids is the order of creation."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from ulid import ULID


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


RANDOM_BYTES: Final = 10
"""What an id has beside its time."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The earliest time that an id can have."""
MILLISECOND: Final = timedelta(milliseconds=1)
"""The unit of the time in an id."""
_TIME_BYTES: Final = 6


def id_at(prefix: str, moment: datetime, rest: bytes) -> str:
    """An id such as `pay_01J…`: its time part is `moment`, to the millisecond, then ten bytes."""
    # Imported here: the authorizer names no ids, and a token waits for its start.
    from ulid import ULID  # noqa: PLC0415

    assert len(rest) == RANDOM_BYTES, f"an id has {RANDOM_BYTES} bytes beside its time"
    # From whole milliseconds: the library's own way through a float is now and then one too early.
    milliseconds = max((moment - EPOCH) // MILLISECOND, 0)
    return f"{prefix}_{ULID.from_bytes(milliseconds.to_bytes(_TIME_BYTES, 'big') + rest)}"
