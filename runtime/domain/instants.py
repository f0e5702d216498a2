"""Points in time as the platform writes them, and the windows that callers ask for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from runtime.models.fields import EpochSeconds, Instant

_LAST = time(23, 59, 59, 999_000)


def to_instant(moment: datetime) -> Instant:
    """`moment` as ISO 8601 UTC with milliseconds, cut off (never rounded up into the future)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_datetime(instant: Instant) -> datetime:
    """The moment an instant names."""
    return datetime.fromisoformat(instant)


def to_epoch_seconds(moment: datetime) -> EpochSeconds:
    """Whole seconds since the epoch, for DynamoDB's TTL."""
    return int(moment.timestamp())


def start_of(text: str) -> datetime:
    """The first moment of a day, or the moment itself. Raises ValueError for a day that is none."""
    if len(text) == len("YYYY-MM-DD"):
        return datetime.combine(date.fromisoformat(text), time.min, UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def end_of(text: str) -> datetime:
    """The last millisecond of a day, or the moment itself. Raises ValueError like `start_of`."""
    start = start_of(text)
    return datetime.combine(start, _LAST, UTC) if len(text) == len("YYYY-MM-DD") else start
