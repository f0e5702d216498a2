"""Timestamps in the platform's format, and time windows of requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from runtime.core.fields import EpochSeconds, Timestamp

_LAST = time(23, 59, 59, 999_000)
_DAY = timedelta(days=1)


def to_timestamp(moment: datetime) -> Timestamp:
    """`moment` as ISO 8601 UTC with milliseconds, truncated (never rounded into the future)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_datetime(instant: Timestamp) -> datetime:
    """Parse a timestamp."""
    return datetime.fromisoformat(instant)


def is_timestamp(text: str) -> bool:
    """Whether a text is a timestamp in the platform's format."""
    try:
        return to_timestamp(datetime.fromisoformat(text)) == text
    except (OverflowError, ValueError):
        return False


def to_epoch_seconds(moment: datetime) -> EpochSeconds:
    """Whole seconds since the epoch, for DynamoDB's TTL."""
    return int(moment.timestamp())


def start_of(text: str) -> datetime:
    """The first moment of a day, or the given moment, in UTC.

    Raises ValueError for an invalid date, OverflowError for one beyond the calendar.
    """
    if len(text) == len("YYYY-MM-DD"):
        return datetime.combine(date.fromisoformat(text), time.min, UTC)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def end_of(text: str) -> datetime:
    """The last millisecond of a day, or the given moment. Raises ValueError like `start_of`."""
    start = start_of(text)
    return datetime.combine(start, _LAST, UTC) if len(text) == len("YYYY-MM-DD") else start


@dataclass(frozen=True, slots=True)
class Days:
    """A time window as whole days (`first` to `last`, or None) and the partial days around them."""

    whole: tuple[str, str] | None
    parts: tuple[tuple[datetime, datetime], ...]


def in_days(start: datetime, end: datetime, now: datetime) -> Days:
    """Split the window from `start` to `end` (UTC, both included) at midnights.

    Nothing is later than `now`: the current day counts as whole if `end` is not before `now`.
    """
    first_midnight = datetime.combine(start, time.min, UTC)
    last_midnight = datetime.combine(end, time.min, UTC)
    begins_whole = start == first_midnight
    ends_whole = end >= min(now, datetime.combine(end, _LAST, UTC))
    first = first_midnight if begins_whole else first_midnight + _DAY
    last = last_midnight if ends_whole else last_midnight - _DAY
    if first > last:
        return Days(None, ((start, end),))
    head = () if begins_whole else ((start, datetime.combine(start, _LAST, UTC)),)
    tail = () if ends_whole else ((last_midnight, end),)
    return Days((to_timestamp(first)[:10], to_timestamp(last)[:10]), (*head, *tail))


FIRST_DAY: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""No data of the platform is older."""
