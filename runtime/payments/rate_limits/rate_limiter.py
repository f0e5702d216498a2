"""Rate limits of payments per minute and day, by exact counts or leased permits.

Under a low limit, each payment is counted in the transaction that begins it. Under a high limit, a
worker leases permits for the next seconds and spends them from memory, so that requests do not wait
for the counter. Exhausted windows are cached too, so a rejected request costs no write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from runtime.core.cache import Cache
from runtime.core.errors import AlreadyClaimed, PlatformError
from runtime.core.outside import Outside
from runtime.merchants.models import MerchantProfile
from runtime.payments.rate_limits.repository import LimitReached, LimitRepository
from runtime.payments.rate_limits.rules import (
    Lease,
    Limit,
    Pace,
    counted_exactly,
    limits_of,
    rate_limited,
)

MAX_REMEMBERED: Final = 1_000
"""Windows in memory. The permits of an evicted window are lost."""
MAX_SMALLER_LEASES: Final = 2
"""How often a lease is reduced to what the counter admits, before a single permit is requested."""


@dataclass
class _Window:
    """A window in this worker's memory. Its permits end with it; the pace continues."""

    start: datetime
    pace: Pace
    lock: AbstractContextManager[Any]
    permits: int = 0
    leased: int = 0
    used_up_at: int = 0

    def require_open(self, limit: Limit) -> None:
        """Raises LimitReached if the window is exhausted, unless the limit was raised since."""
        if self.permits == 0 and limit.payments <= self.used_up_at:
            raise LimitReached(limit)

    def take(self, limit: Limit, counters: LimitRepository, now: datetime) -> None:
        """Spend a permit, and lease more first if there is none. Raises LimitReached."""
        with self.lock:
            self.require_open(limit)
            if self.permits == 0:
                self._lease(limit, counters, now)
            self.permits -= 1
            self.pace.spend(now)

    def return_permit(self) -> None:
        """Return a permit that was not used."""
        with self.lock:
            self.permits += 1

    def mark_used_up(self, limit: Limit) -> None:
        """Record that the limit is exhausted."""
        with self.lock:
            self.used_up_at = limit.payments

    def _lease(self, limit: Limit, counters: LimitRepository, now: datetime) -> None:
        wanted = Lease(self.pace.next_lease(limit.payments, now), self.leased)
        for attempt in range(MAX_SMALLER_LEASES + 1):
            counter = counters.lease(limit, wanted)
            if counter is None:
                self.permits = self.leased = self.pace.last_lease = wanted.size
                return
            fitting = wanted.fitting(counter, limit.payments)
            if fitting is None:
                break
            wanted = fitting if attempt < MAX_SMALLER_LEASES - 1 else Lease(1, self.leased)
        raise LimitReached(limit)


class RateLimiter:
    """A worker's bounded cache of windows, in front of their counters."""

    def __init__(self, counters: LimitRepository, outside: Outside) -> None:
        self._counters = counters
        self._new_lock = outside.lock
        self._windows: Cache[tuple[str, str], _Window] = Cache(MAX_REMEMBERED, outside)
        self._lock = outside.lock()

    @contextmanager
    def admitted(
        self, merchant: MerchantProfile, attempt: str, now: datetime
    ) -> Iterator[tuple[Limit, ...]]:
        """A context to begin a payment in, under the claim of `attempt`. Raises RateLimited.

        Yields the limits to count in the payment's transaction. Returns the permits if the payment
        was not begun.
        """
        limits = limits_of(merchant.id, merchant.rate_limits, now)
        exactly = counted_exactly(limits)
        taken: list[_Window] = []
        try:
            for limit in limits:
                window = self._window(limit)
                if exactly:
                    window.require_open(limit)
                else:
                    window.take(limit, self._counters, now)
                    taken.append(window)
            yield limits if exactly else ()
        except LimitReached as reached:
            self._window(reached.limit).mark_used_up(reached.limit)
            _return_permits(taken)
            raise rate_limited(reached.limit, now) from reached
        except (AlreadyClaimed, PlatformError) as refusal:
            if _is_not_begun(refusal, attempt):
                _return_permits(taken)
            raise

    def _window(self, limit: Limit) -> _Window:
        """The limit's window in memory. A window that is over is not kept."""
        subject = (limit.merchant_id, limit.span.value)
        with self._lock:
            window = self._windows.get(subject)
            if window is not None and window.start > limit.start:
                return _Window(limit.start, Pace(), self._new_lock())
            if window is None or window.start < limit.start:
                pace = window.pace if window is not None else Pace()
                window = _Window(limit.start, pace, self._new_lock())
                self._windows.keep(subject, window)
            return window


def _return_permits(windows: list[_Window]) -> None:
    for window in windows:
        window.return_permit()


def _is_not_begun(refusal: AlreadyClaimed | PlatformError, attempt: str) -> bool:
    """Whether the payment was certainly not begun. In doubt, its permit stays spent."""
    if isinstance(refusal, AlreadyClaimed):
        return refusal.record.owner != attempt
    return refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR
