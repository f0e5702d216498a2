"""The form of ids: a prefix and a ULID, so that the order of ids is the order of creation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

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
