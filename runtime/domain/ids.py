"""Ids: a prefix and a ULID, so that the order of ids is the order of creation."""

from __future__ import annotations

from datetime import UTC, datetime

from ulid import ULID

_ULID_LOWEST = "0" * 16
_ULID_HIGHEST = "Z" * 16
_TIME_LENGTH = 10


def new_id(prefix: str, now: datetime) -> str:
    """A fresh id such as `pay_01J…` whose time part is `now`, to the millisecond."""
    return f"{prefix}_{ULID.from_datetime(now)}"


def lowest_id(prefix: str, moment: datetime) -> str:
    """No id made at or after `moment` sorts before this."""
    return f"{prefix}_{str(ULID.from_datetime(moment))[:_TIME_LENGTH]}{_ULID_LOWEST}"


def highest_id(prefix: str, moment: datetime) -> str:
    """No id made at or before `moment` sorts after this."""
    return f"{prefix}_{str(ULID.from_datetime(moment))[:_TIME_LENGTH]}{_ULID_HIGHEST}"


def created_at(identifier: str) -> datetime:
    """When an id was made. Raises ValueError if it holds no ULID."""
    return ULID.from_str(identifier.partition("_")[2]).datetime.astimezone(UTC)
