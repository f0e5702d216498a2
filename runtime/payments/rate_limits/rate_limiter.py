"""Merchants' limits of payments per minute and day: counted by the intent, or by leased permits.

Few payments are counted one by one in the transaction that begins them. Where there are more, no
request waits for a counter: a worker leases permits for the next seconds and spends them from
memory. A window that is used up is remembered too, so a refusal costs no write.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

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
    used_up,
)

MAX_REMEMBERED: Final = 1_000
"""Limits whose present window is remembered; permits of one that is forgotten are lost."""
MAX_SMALLER_LEASES: Final = 2
"""Times that a lease is cut to what the counter admits; then a single permit is asked for."""


@dataclass
class _Window:
    """What this worker knows of one window. Its permits die with it; the pace goes on."""

    start: datetime
    pace: Pace
    lock: AbstractContextManager[Any]
    permits: int = 0
    leased: int = 0
    used_up_at: int = 0

    def must_be_open(self, limit: Limit) -> None:
        """Raises LimitReached; a limit that was raised since is asked for again."""
        if self.permits == 0 and limit.payments <= self.used_up_at:
            raise LimitReached(limit)

    def take(self, limit: Limit, counters: LimitRepository, now: datetime) -> None:
        """Spend a permit, leased now if there is none. Raises LimitReached."""
        with self.lock:
            self.must_be_open(limit)
            if self.permits == 0:
                self._lease(limit, counters, now)
            self.permits -= 1
            self.pace.spend(now)

    def give_back(self) -> None:
        """A permit was not needed."""
        with self.lock:
            self.permits += 1

    def close(self, limit: Limit) -> None:
        """Nothing is left of the limit."""
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
    """A worker's bounded memory of windows, in front of their counters."""

    def __init__(self, counters: LimitRepository, outside: Outside) -> None:
        self._counters = counters
        self._new_lock = outside.lock
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()
        self._lock = outside.lock()

    @contextmanager
    def admitted(
        self, merchant: MerchantProfile, attempt: str, now: datetime
    ) -> Iterator[tuple[Limit, ...]]:
        """Begin a payment inside, under the claim of `attempt`, and count it where this says so.

        What was not begun is not counted. Raises RateLimited.
        """
        limits = limits_of(merchant.id, merchant.rate_limits, now)
        exactly = counted_exactly(limits)
        taken: list[_Window] = []
        try:
            for limit in limits:
                window = self._window(limit)
                if exactly:
                    window.must_be_open(limit)
                else:
                    window.take(limit, self._counters, now)
                    taken.append(window)
            yield limits if exactly else ()
        except LimitReached as reached:
            self._window(reached.limit).close(reached.limit)
            _give_back(taken)
            raise used_up(reached.limit, now) from reached
        except (AlreadyClaimed, PlatformError) as refusal:
            if _nothing_was_begun(refusal, attempt):
                _give_back(taken)
            raise

    def _window(self, limit: Limit) -> _Window:
        """What is remembered of the limit's window; of one that is over, nothing is."""
        subject = (limit.merchant_id, limit.span.value)
        with self._lock:
            window = self._windows.get(subject)
            if window is not None and window.start > limit.start:
                return _Window(limit.start, Pace(), self._new_lock())
            if window is None or window.start < limit.start:
                pace = window.pace if window is not None else Pace()
                window = _Window(limit.start, pace, self._new_lock())
                self._windows[subject] = window
            self._windows.move_to_end(subject)
            if len(self._windows) > MAX_REMEMBERED:
                self._windows.popitem(last=False)
            return window


def _give_back(windows: list[_Window]) -> None:
    for window in windows:
        window.give_back()


def _nothing_was_begun(refusal: AlreadyClaimed | PlatformError, attempt: str) -> bool:
    """A commit that may have been done keeps its permit: rather one too few than one too many."""
    if isinstance(refusal, AlreadyClaimed):
        return refusal.record.owner != attempt
    return refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR
