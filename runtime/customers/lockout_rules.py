"""Locking a customer out: what an attempt that has ended makes of its failures in a row.

Failures are counted while no lock stands; the last one that is allowed locks. While the lock stands
nothing locks again, and once it has run out the counting starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp

SAY_NOTHING_OF_THE_CUSTOMER: Final = frozenset(
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
"""Decline codes by which nobody has judged who pays: neither an outage nor a merchant's revoked key
must lock customers out."""


@dataclass(frozen=True, slots=True)
class Lockout:
    """So many failures in a row lock for so long."""

    after_failures: int
    seconds: int

    def until(self, now: datetime) -> Timestamp:
        """When a lock that is set at `now` runs out."""
        return to_timestamp(now + timedelta(seconds=self.seconds))


class Standing(StrEnum):
    """Where a customer stands when one more attempt fails."""

    COUNTING = "counting"
    AT_THE_LAST = "at the last"
    LOCKED = "locked"
    RUN_OUT = "run out"


def standing_of(
    failed_attempts: int, locked_until: Timestamp | None, rule: Lockout, at: Timestamp
) -> Standing:
    """What the next failure will be: counted, the one that locks, under a lock, or a first one."""
    if is_locked(locked_until, at):
        return Standing.LOCKED
    if locked_until is not None:
        return Standing.RUN_OUT
    last = failed_attempts >= rule.after_failures - 1
    return Standing.AT_THE_LAST if last else Standing.COUNTING


def is_locked(locked_until: Timestamp | None, at: Timestamp) -> bool:
    """Whether a lock still stands at `at`."""
    return locked_until is not None and locked_until > at
