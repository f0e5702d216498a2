"""Ids: a prefix and a ULID, so that the order of ids is the order of creation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ulid import ULID

_ULID_LOWEST = "0" * 16
_ULID_HIGHEST = "Z" * 16
_TIME_LENGTH = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_id(prefix: str, now: datetime) -> str:
    """A fresh id such as `pay_01J…` whose time part is `now`, to the millisecond."""
    return f"{prefix}_{_ulid(now)}"


def lowest_id(prefix: str, moment: datetime) -> str:
    """No id made at or after `moment` sorts before this."""
    return f"{prefix}_{str(_ulid(moment))[:_TIME_LENGTH]}{_ULID_LOWEST}"


def highest_id(prefix: str, moment: datetime) -> str:
    """No id made at or before `moment` sorts after this."""
    return f"{prefix}_{str(_ulid(moment))[:_TIME_LENGTH]}{_ULID_HIGHEST}"


def created_at(identifier: str) -> datetime:
    """When an id was made. Raises ValueError if it holds no ULID."""
    return _EPOCH + ULID.from_str(identifier.partition("_")[2]).milliseconds * _MILLISECOND


def _ulid(moment: datetime) -> ULID:
    # From whole milliseconds: the library's own way through a float is now and then one too early.
    return ULID.from_timestamp((moment - _EPOCH) // _MILLISECOND)
