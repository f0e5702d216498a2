"""Ids: a prefix and a ULID, so that ids sort in order of creation."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from ulid import ULID


def repeatable_id(prefix: str, moment: datetime, *meaning: str) -> str:
    """A deterministic id: the same for the same `meaning` and `moment`.

    Its time part is `moment`, to the millisecond; the random part is a hash of `meaning`.
    """
    hashed = hashlib.sha256()
    for part in meaning:
        encoded = part.encode()
        hashed.update(len(encoded).to_bytes(4, "big") + encoded)
    return id_at(prefix, moment, hashed.digest()[:RANDOM_BYTES])


def lowest_id(prefix: str, moment: datetime) -> str:
    """Ids created at or after `moment` do not sort before this."""
    return id_at(prefix, moment, bytes(RANDOM_BYTES))


def highest_id(prefix: str, moment: datetime) -> str:
    """Ids created at or before `moment` do not sort after this."""
    return id_at(prefix, moment, b"\xff" * RANDOM_BYTES)


def created_at(identifier: str) -> datetime:
    """When an id was created. Raises ValueError if it is not a ULID, or is past the year 9999."""
    milliseconds = ULID.from_str(identifier.partition("_")[2]).milliseconds
    try:
        return EPOCH + milliseconds * MILLISECOND
    except OverflowError as overflow:
        raise ValueError(f"{identifier} has a time past the year 9999") from overflow


def age_seconds(identifier: str, now: datetime) -> float | None:
    """Seconds since an id was created, to the millisecond; None if it does not say when that was.

    At least 0: the clock of the function that created it may be ahead.
    """
    try:
        age = now - created_at(identifier)
    except ValueError:
        return None
    return max(round(age.total_seconds(), 3), 0.0)


RANDOM_BYTES: Final = 10
"""Random bytes of an id."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The earliest time an id can have."""
MILLISECOND: Final = timedelta(milliseconds=1)
"""The time unit of an id."""
_TIME_BYTES: Final = 6


def id_at(prefix: str, moment: datetime, rest: bytes) -> str:
    """An id such as `pay_01J…`: the time part is `moment`, to the millisecond, then ten bytes."""
    # Imported lazily: the authorizer creates no ids, and its cold start delays requests.
    from ulid import ULID  # noqa: PLC0415

    assert len(rest) == RANDOM_BYTES, f"an id needs {RANDOM_BYTES} bytes besides its time"
    # Integer arithmetic: the library converts through a float, which may be a millisecond early.
    milliseconds = max((moment - EPOCH) // MILLISECOND, 0)
    return f"{prefix}_{ULID.from_bytes(milliseconds.to_bytes(_TIME_BYTES, 'big') + rest)}"
