"""Ids: a prefix and a ULID, so that the order of ids is the order of creation."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from ulid import ULID

_ULID_LOWEST = "0" * 16
_ULID_HIGHEST = "Z" * 16
_TIME_LENGTH = 10
_TIME_BYTES, _RANDOM_BYTES = 6, 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_id(prefix: str, now: datetime) -> str:
    """A fresh id such as `pay_01J…` whose time part is `now`, to the millisecond."""
    return f"{prefix}_{_ulid(now)}"


def repeatable_id(prefix: str, moment: datetime, *meaning: str) -> str:
    """The one id of `meaning` at `moment`, the same for whoever makes it, and however often.

    Its time part is `moment`, to the millisecond; where others have chance it has a hash.
    """
    hashed = hashlib.sha256()
    for part in meaning:
        encoded = part.encode()
        hashed.update(len(encoded).to_bytes(4, "big") + encoded)
    time = _milliseconds(moment).to_bytes(_TIME_BYTES, "big")
    return f"{prefix}_{ULID.from_bytes(time + hashed.digest()[:_RANDOM_BYTES])}"


def lowest_id(prefix: str, moment: datetime) -> str:
    """No id made at or after `moment` sorts before this."""
    return f"{prefix}_{str(_ulid(moment))[:_TIME_LENGTH]}{_ULID_LOWEST}"


def highest_id(prefix: str, moment: datetime) -> str:
    """No id made at or before `moment` sorts after this."""
    return f"{prefix}_{str(_ulid(moment))[:_TIME_LENGTH]}{_ULID_HIGHEST}"


def created_at(identifier: str) -> datetime:
    """When an id was made. Raises ValueError if it holds no ULID, or one past the year 9999."""
    milliseconds = ULID.from_str(identifier.partition("_")[2]).milliseconds
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except OverflowError as overflow:
        raise ValueError(f"{identifier} is of no date that there is") from overflow


def _ulid(moment: datetime) -> ULID:
    # From whole milliseconds: the library's own way through a float is now and then one too early.
    return ULID.from_timestamp(_milliseconds(moment))


def _milliseconds(moment: datetime) -> int:
    # A ULID's time begins with the epoch; no id of ours is older.
    return max((moment - _EPOCH) // _MILLISECOND, 0)
