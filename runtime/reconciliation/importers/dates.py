"""Dates of settlement files as days in UTC, such as 2026-03-14."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Final

from runtime.core.echo import echoed
from runtime.reconciliation.importers.layout import Unreadable

_HOURS_OF_ZONE: Final = {
    "UTC": 0,
    "GMT": 0,
    "CET": 1,
    "CEST": 2,
    "EST": -5,
    "EDT": -4,
    "PST": -8,
    "PDT": -7,
}
ZONES: Final[Mapping[str, timezone]] = MappingProxyType(
    {name: timezone(timedelta(hours=hours)) for name, hours in _HOURS_OF_ZONE.items()}
)
"""Abbreviations with one meaning among Adyen's. Others are refused: CST and IST have several."""
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def day(column: str, text: str) -> str | None:
    """The UTC day of a date, or of a date and time (UTC unless it has an offset); None if empty.

    Raises Unreadable.
    """
    if not text:
        return None
    moment = _moment(column, text)
    if moment.tzinfo is None:
        return moment.date().isoformat()
    return _in_utc(column, text, moment)


def day_in_zone(column: str, text: str, zone_column: str, zone: str) -> str | None:
    """The UTC day of a local time whose zone is named by an abbreviation; None if it is empty.

    Raises Unreadable.
    """
    if not text:
        return None
    known = ZONES.get(zone.upper())
    if known is None:
        raise Unreadable(
            f"{zone_column} {echoed(zone)!r} is not one of the known time zones "
            f"({', '.join(sorted(ZONES))})"
        )
    return _in_utc(column, text, _moment(column, text).replace(tzinfo=known))


def _moment(column: str, text: str) -> datetime:
    refusal = Unreadable(f"{column} {echoed(text)!r} is not a date such as 2026-03-14")
    if not _MOMENT.fullmatch(text):
        raise refusal
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # a day such as 30 February
        raise refusal from None


def _in_utc(column: str, text: str, moment: datetime) -> str:
    try:
        return moment.astimezone(UTC).date().isoformat()
    except OverflowError:
        raise Unreadable(f"{column} {echoed(text)!r} is beyond the calendar") from None
