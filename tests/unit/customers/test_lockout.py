"""What one more failure is: counted, the one that locks, under a lock, or a first one again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.customers.lockout_rules import (
    SAY_NOTHING_OF_THE_CUSTOMER,
    Lockout,
    Standing,
    standing_of,
)
from runtime.payments.charge.outcome import NOT_CHARGED
from runtime.payments.processors.sandbox.connector import BEHAVIOURS

RULE = Lockout(after_failures=3, seconds=1800)
AT = "2026-03-14T09:00:00.000Z"
BEFORE, AFTER = "2026-03-14T08:59:59.999Z", "2026-03-14T09:00:00.001Z"


@pytest.mark.parametrize(
    ("failed_attempts", "locked_until", "standing"),
    [
        (0, None, Standing.COUNTING),
        (1, None, Standing.COUNTING),
        (2, None, Standing.AT_THE_LAST),
        (7, None, Standing.AT_THE_LAST),
        (3, AFTER, Standing.LOCKED),
        (0, AFTER, Standing.LOCKED),
        (3, AT, Standing.RUN_OUT),
        (3, BEFORE, Standing.RUN_OUT),
    ],
)
def test_a_failure_is_what_count_and_lock_make_it(
    failed_attempts: int, locked_until: str | None, standing: Standing
) -> None:
    assert standing_of(failed_attempts, locked_until, RULE, AT) is standing


def test_a_lock_runs_out_after_its_seconds() -> None:
    now = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
    assert RULE.until(now) == "2026-03-14T09:30:00.000Z"


def test_what_nobody_has_judged_says_nothing_of_the_customer_and_a_declined_card_does() -> None:
    assert NOT_CHARGED.decline_code in SAY_NOTHING_OF_THE_CUSTOMER
    judged = {each.decline_code for each in BEHAVIOURS.values()} | {"try_again_later"}
    assert SAY_NOTHING_OF_THE_CUSTOMER.isdisjoint(judged)
