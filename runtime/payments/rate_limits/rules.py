"""A merchant's limits: fixed windows of UTC, counted one by one or by permits that workers lease.

A lease adds to two sums of the window's counter: `used`, every permit that was leased, and `held`,
those that workers may still have in memory. So the limit is never passed, and a window in which
some worker finds no permit left has had at least nine tenths of its payments.
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
"""Up to so many payments in a window are counted one by one, by the intent's own transaction: one
item takes some five transactions a second, 300 a minute, before conflicts pass 10 %."""
RECENT_SECONDS: Final = 5
"""A worker leases about as many permits as it has spent in the last so many seconds."""
GROWTH: Final = 4
"""The next lease is at most so many times as large as the last one."""
LEASES_PER_LIMIT: Final = 20
"""One lease is at most this part of the limit."""
HELD_PART: Final = 10
"""All workers together hold at most this part of the limit in memory."""
KEPT: Final = timedelta(days=1)
"""How long a counter outlives its window, for whoever looks into what happened."""


class Span(StrEnum):
    """How long a window is."""

    MINUTE = "minute"
    DAY = "day"


_LENGTH: Final = {Span.MINUTE: timedelta(minutes=1), Span.DAY: timedelta(days=1)}
_FORM: Final = {Span.MINUTE: "%Y-%m-%dT%H:%M", Span.DAY: "%Y-%m-%d"}


@dataclass(frozen=True, slots=True)
class Limit:
    """So many payments of one merchant in the window that begins at `start`."""

    merchant_id: str
    span: Span
    payments: int
    start: datetime

    @property
    def end(self) -> datetime:
        """The first moment of the next window."""
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
    """The merchant's limits at `now`, the longest window first: it says how long to wait."""
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
    """Whether payments under these limits are so few that each can be counted by itself."""
    return min((limit.payments for limit in limits), default=0) <= EXACT_UP_TO


def used_up(limit: Limit, now: datetime) -> RateLimited:
    """The refusal of whoever comes after the last payment of a window."""
    return RateLimited(
        f"Merchant {limit.merchant_id} has used its {limit.payments} payments "
        f"of the {limit.span} {limit.window} (UTC)",
        retry_after_seconds=max(1, ceil((limit.end - now).total_seconds())),
    )


# -------------------------------------------------------------------- leases


@dataclass
class Pace:
    """How fast one worker spends the permits of one limit, from window to window."""

    last_lease: int = 1
    _spent: dict[int, int] = field(default_factory=dict)

    def spend(self, now: datetime) -> None:
        """One permit is spent at `now`."""
        second = int(now.timestamp())
        recent = {each: count for each, count in self._spent.items() if _is_recent(each, second)}
        self._spent = recent | {second: recent.get(second, 0) + 1}

    def next_lease(self, limit: int, now: datetime) -> int:
        """How many permits to ask for; at least one."""
        second = int(now.timestamp())
        recently = sum(n for each, n in self._spent.items() if _is_recent(each, second))
        return max(1, min(recently, GROWTH * self.last_lease, limit // LEASES_PER_LIMIT))


def _is_recent(second: int, now: int) -> bool:
    return now - RECENT_SECONDS < second <= now


@dataclass(frozen=True, slots=True)
class Lease:
    """`size` permits, the first of which is spent at once; `before` were leased last, and spent."""

    size: int
    before: int = 0

    @property
    def held(self) -> int:
        """By how much it changes the sum of what workers may hold."""
        return (self.size - 1) - max(0, self.before - 1)

    def most_used(self, limit: int) -> int:
        """The highest sum of leased permits on which this lease keeps within the limit."""
        return limit - self.size

    def most_held(self, limit: int) -> int | None:
        """The highest sum of held permits on which it may be given; None: on any.

        A single permit is spent at once and never held, so it can always be had.
        """
        return None if self.size == 1 else limit // HELD_PART - self.held

    def fitting(self, counter: LimitCounter, limit: int) -> Lease | None:
        """The largest lease up to this one that `counter` admits; None: nothing is left."""
        left = limit - counter.used
        if left <= 0:
            return None
        may_hold = limit // HELD_PART - counter.held + max(0, self.before - 1)
        return Lease(max(1, min(self.size, left, may_hold + 1)), self.before)
