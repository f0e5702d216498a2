"""Retries of stale writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.core.errors import StaleWrite, Unavailable
from runtime.idempotency.optimistic_update import retry_stale

BUSY = Unavailable("busy")


def attempt_that_is_stale(times: int, error: Exception) -> Callable[[], int]:
    """An attempt that fails `times` times, then returns the number of calls."""
    calls = 0

    def attempt() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error
        return calls

    return attempt


@pytest.mark.parametrize("times", range(3))
def test_a_stale_attempt_is_repeated(times: int) -> None:
    attempt = attempt_that_is_stale(times, StaleWrite("accounts", "changed"))
    assert retry_stale(3, attempt, BUSY) == times + 1


def test_too_many_stale_attempts_raise_the_given_error() -> None:
    attempt = attempt_that_is_stale(3, StaleWrite("accounts", "changed"))
    with pytest.raises(Unavailable, match="busy"):
        retry_stale(3, attempt, BUSY)


def test_only_the_given_error_is_retried() -> None:
    with pytest.raises(KeyError):
        retry_stale(3, attempt_that_is_stale(1, KeyError()), BUSY)
    stale = StaleWrite("accounts", "changed")
    with pytest.raises(StaleWrite):
        retry_stale(3, attempt_that_is_stale(1, stale), BUSY, stale=KeyError)
    assert retry_stale(3, attempt_that_is_stale(1, KeyError()), BUSY, stale=KeyError) == 2
