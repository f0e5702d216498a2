"""The effect of one more failure: counted, locking, ignored under a lock, or a first one again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.customers.lockout_rules import (
    UNCOUNTED_DECLINES,
    Lockout,
    LockoutState,
    lockout_state,
)
from runtime.payments.charge.outcome import NOT_CHARGED
from runtime.payments.processors.sandbox.connector import BEHAVIOURS

RULE = Lockout(after_failures=3, seconds=1800)
AT = "2026-03-14T09:00:00.000Z"
BEFORE, AFTER = "2026-03-14T08:59:59.999Z", "2026-03-14T09:00:00.001Z"


@pytest.mark.parametrize(
    ("failed_attempts", "locked_until", "state"),
    [
        (0, None, LockoutState.COUNTING),
        (1, None, LockoutState.COUNTING),
        (2, None, LockoutState.LAST_ATTEMPT),
        (7, None, LockoutState.LAST_ATTEMPT),
        (3, AFTER, LockoutState.LOCKED),
        (0, AFTER, LockoutState.LOCKED),
        (3, AT, LockoutState.EXPIRED),
        (3, BEFORE, LockoutState.EXPIRED),
    ],
)
def test_the_effect_of_a_failure_depends_on_count_and_lock(
    failed_attempts: int, locked_until: str | None, state: LockoutState
) -> None:
    assert lockout_state(failed_attempts, locked_until, RULE, AT) is state


def test_a_lock_expires_after_its_seconds() -> None:
    now = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
    assert RULE.until(now) == "2026-03-14T09:30:00.000Z"


def test_only_a_declined_card_counts_towards_the_lockout() -> None:
    assert NOT_CHARGED.decline_code in UNCOUNTED_DECLINES
    judged = {each.decline_code for each in BEHAVIOURS.values()} | {"try_again_later"}
    assert UNCOUNTED_DECLINES.isdisjoint(judged)
