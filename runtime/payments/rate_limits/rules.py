"""A merchant's limits: fixed UTC windows, with exact counts or permits that workers lease.

A lease adds to two sums of the window's counter: `used`, all leased permits, and `held`, the
permits that workers may still have in memory. So the limit is never exceeded, and when a worker
finds no permit left, at least nine tenths of the limit have been spent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from math import ceil
from typing import Final

from runtime.core.errors import RateLimited
from runtime.merchants.models import RateLimits
from runtime.payments.rate_limits.models import LimitCounter

EXACT_UP_TO: Final = 300
"""Limits up to this are counted exactly, in the intent's own transaction. One item sustains about
five transactions a second, 300 a minute, before conflicts exceed 10 %."""
RECENT_SECONDS: Final = 5
"""A worker leases about as many permits as it spent in this period."""
GROWTH: Final = 4
"""The next lease is at most this many times the last one."""
LEASES_PER_LIMIT: Final = 20
"""A lease is at most the limit divided by this."""
HELD_PART: Final = 10
"""All workers together hold at most the limit divided by this."""
COUNTER_RETENTION: Final = timedelta(days=1)
"""How long a counter is kept after its window, for investigations."""


class Span(StrEnum):
    """The length of a window."""

    MINUTE = "minute"
    DAY = "day"


_LENGTH: Final = {Span.MINUTE: timedelta(minutes=1), Span.DAY: timedelta(days=1)}
_FORM: Final = {Span.MINUTE: "%Y-%m-%dT%H:%M", Span.DAY: "%Y-%m-%d"}


@dataclass(frozen=True, slots=True)
class Limit:
    """A merchant's limit of payments in the window that begins at `start`."""

    merchant_id: str
    span: Span
    payments: int
    start: datetime

    @property
    def end(self) -> datetime:
        """The start of the next window."""
        return self.start + _LENGTH[self.span]

    @property
    def window(self) -> str:
        """The window's name: its minute or day in UTC."""
        return self.start.strftime(_FORM[self.span])

    @property
    def counter_id(self) -> str:
        """Key of the window's counter."""
        return f"{self.merchant_id}#{self.span}#{self.window}"


def limits_of(merchant_id: str, limits: RateLimits, now: datetime) -> tuple[Limit, ...]:
    """The merchant's limits at `now`, longest window first, because it has the longest wait."""
    at = now.astimezone(UTC)
    found = []
    if limits.payments_per_day is not None:
        start = datetime.combine(at.date(), time.min, UTC)
        found.append(Limit(merchant_id, Span.DAY, limits.payments_per_day, start))
    if limits.payments_per_minute is not None:
        start = at.replace(second=0, microsecond=0)
        found.append(Limit(merchant_id, Span.MINUTE, limits.payments_per_minute, start))
    return tuple(found)


def counted_exactly(limits: tuple[Limit, ...]) -> bool:
    """Whether payments under these limits are counted exactly."""
    return min((limit.payments for limit in limits), default=0) <= EXACT_UP_TO


def rate_limited(limit: Limit, now: datetime) -> RateLimited:
    """The error for a payment above the limit."""
    return RateLimited(
        f"Merchant {limit.merchant_id} has used its limit of {limit.payments} payments "
        f"for the {limit.span} {limit.window} (UTC)",
        retry_after_seconds=max(1, ceil((limit.end - now).total_seconds())),
    )


# -------------------------------------------------------------------- leases


@dataclass
class Pace:
    """How fast one worker spends the permits of one limit, from window to window."""

    last_lease: int = 1
    _spent: dict[int, int] = field(default_factory=dict)

    def spend(self, now: datetime) -> None:
        """Record that a permit is spent at `now`."""
        second = int(now.timestamp())
        recent = {each: count for each, count in self._spent.items() if _is_recent(each, second)}
        self._spent = recent | {second: recent.get(second, 0) + 1}

    def next_lease(self, limit: int, now: datetime) -> int:
        """How many permits to request; at least one."""
        second = int(now.timestamp())
        recently = sum(n for each, n in self._spent.items() if _is_recent(each, second))
        return max(1, min(recently, GROWTH * self.last_lease, limit // LEASES_PER_LIMIT))


def _is_recent(second: int, now: int) -> bool:
    return now - RECENT_SECONDS < second <= now


@dataclass(frozen=True, slots=True)
class Lease:
    """A request for `size` permits, of which one is spent immediately.

    `before`: the size of the worker's previous lease, which is spent.
    """

    size: int
    before: int = 0

    @property
    def held(self) -> int:
        """The change of the counter's `held`."""
        return (self.size - 1) - max(0, self.before - 1)

    def max_used(self, limit: int) -> int:
        """The highest `used` with which this lease stays within the limit."""
        return limit - self.size

    def max_held(self, limit: int) -> int | None:
        """The highest `held` with which this lease is granted; None if any.

        A single permit is spent immediately and never held.
        """
        return None if self.size == 1 else limit // HELD_PART - self.held

    def fitting(self, counter: LimitCounter, limit: int) -> Lease | None:
        """The largest lease, up to this one, that `counter` admits; None if it is exhausted."""
        left = limit - counter.used
        if left <= 0:
            return None
        may_hold = limit // HELD_PART - counter.held + max(0, self.before - 1)
        return Lease(max(1, min(self.size, left, may_hold + 1)), self.before)
