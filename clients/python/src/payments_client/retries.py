"""When a request is sent again, and after how long. Pure: time and chance are arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SERVER_FAILURES: Final = frozenset({500, 502, 503, 504})
TOO_MANY_REQUESTS: Final = 429
CONFLICT: Final = 409
IN_FLIGHT: Final = "idempotency_in_flight"
RETRY_AFTER_JITTER: Final = 0.1
"""Clients that were refused together must not come back together."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a request is repeated; `NO_RETRIES` never does.

    The pause before attempt n + 1 is random between 0 and `first_delay_seconds * 2 ** (n - 1)`, at
    most `max_delay_seconds`; or what Retry-After asks for. No attempt begins later than
    `limit_seconds` after the first one began.
    """

    max_attempts: int = 6
    first_delay_seconds: float = 0.5
    max_delay_seconds: float = 8.0
    limit_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts}; it must be at least 1")
        seconds = (self.first_delay_seconds, self.max_delay_seconds, self.limit_seconds)
        if not all(math.isfinite(each) and each >= 0 for each in seconds):
            raise ValueError("Delays and the limit must be finite numbers of seconds, 0 or more")

    def pause(
        self, attempt: int, elapsed: float, chance: float, retry_after: float | None = None
    ) -> float | None:
        """Seconds to wait after this attempt (the first is 1), or None to give up.

        `elapsed`: seconds since the first attempt began. `chance`: uniform in [0, 1).
        """
        if attempt >= self.max_attempts:
            return None
        if retry_after is None:
            ceiling = min(self.max_delay_seconds, self.first_delay_seconds * 2 ** (attempt - 1))
            pause = ceiling * chance
        else:
            pause = retry_after * (1 + RETRY_AFTER_JITTER * chance)
        return pause if elapsed + pause <= self.limit_seconds else None


NO_RETRIES: Final = RetryPolicy(max_attempts=1)


def repeats_safely(method: str, idempotency_key: str | None) -> bool:
    """Whether the request can be carried out twice without a second effect."""
    return method in SAFE_METHODS or (method == "POST" and idempotency_key is not None)


def retries_answer(status: int, code: str, *, safe: bool) -> bool:
    """Whether a refused request is sent again. `safe`: what `repeats_safely` says of it.

    429: it was not carried out. 409 `idempotency_in_flight`: the first one with its key still runs.
    """
    if status == TOO_MANY_REQUESTS:
        return True
    if not safe:
        return False
    return status in SERVER_FAILURES or (status == CONFLICT and code == IN_FLIGHT)


def seconds_of_retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """The header Retry-After, in seconds or as a date; None if it is missing or unreadable."""
    if header is None:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
