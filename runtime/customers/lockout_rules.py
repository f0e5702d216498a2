"""Customer lockout: consecutive failed attempts lock a customer for a while.

Failures are counted until the limit is reached, which locks the customer. Failures during a lock do
not extend it. After it expires, counting restarts at one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp

UNCOUNTED_DECLINES: Final = frozenset(
    {
        "canceled",
        "issuer_unavailable",
        "processing_error",
        "processor_configuration",
        "processor_rate_limited",
        "processor_rejected",
        "processor_unreachable",
    }
)
"""Decline codes that say nothing about the customer. An outage, or a merchant's revoked key, must
not lock customers out."""


@dataclass(frozen=True, slots=True)
class Lockout:
    """The lockout limit: how many consecutive failures lock a customer, and for how long."""

    after_failures: int
    seconds: int

    def until(self, now: datetime) -> Timestamp:
        """When a lock that is set at `now` expires."""
        return to_timestamp(now + timedelta(seconds=self.seconds))


class LockoutState(StrEnum):
    """The state of a customer when another attempt fails."""

    COUNTING = "counting"
    LAST_ATTEMPT = "last attempt"
    LOCKED = "locked"
    EXPIRED = "expired"


def lockout_state(
    failed_attempts: int, locked_until: Timestamp | None, rule: Lockout, at: Timestamp
) -> LockoutState:
    """The state in which the next failure finds a customer."""
    if is_locked(locked_until, at):
        return LockoutState.LOCKED
    if locked_until is not None:
        return LockoutState.EXPIRED
    last = failed_attempts >= rule.after_failures - 1
    return LockoutState.LAST_ATTEMPT if last else LockoutState.COUNTING


def is_locked(locked_until: Timestamp | None, at: Timestamp) -> bool:
    """Whether the lock is active at `at`."""
    return locked_until is not None and locked_until > at
