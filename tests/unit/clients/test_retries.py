"""The rules of repeating a request, and of waiting for an outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payments_client.errors import OutcomeUnknown
from payments_client.outcomes import Polling, outcome_is_known, poll, poll_async
from payments_client.retries import (
    NO_RETRIES,
    RetryPolicy,
    repeats_safely,
    retries_answer,
    seconds_of_retry_after,
)

NOW = datetime(2026, 12, 1, 9, 0, 0, tzinfo=UTC)


def test_pauses_double_up_to_a_ceiling() -> None:
    policy = RetryPolicy()
    pauses = [policy.pause(attempt, 0, 1) for attempt in range(1, 6)]
    assert pauses == [0.5, 1, 2, 4, 8]
    assert policy.pause(6, 0, 0) is None
    assert NO_RETRIES.pause(1, 0, 0) is None


@given(attempt=st.integers(1, 6), elapsed=st.floats(0, 100), chance=st.floats(0, 0.999))
def test_no_attempt_begins_after_the_limit(attempt: int, elapsed: float, chance: float) -> None:
    pause = RetryPolicy().pause(attempt, elapsed, chance)
    assert pause is None or (0 <= pause <= 8 and elapsed + pause <= 60)


def test_retry_after_is_followed_with_jitter_or_not_at_all() -> None:
    assert RetryPolicy().pause(1, 0, 0, retry_after=7) == 7
    assert RetryPolicy().pause(1, 0, 1, retry_after=7) == pytest.approx(7.7)
    assert RetryPolicy().pause(1, 0, 0, retry_after=61) is None


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"limit_seconds": float("inf")}, {"first_delay_seconds": -1}]
)
def test_a_policy_without_an_end_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("9" * 400, 999_999_999),
        ("Tue, 01 Dec 2026 09:00:05 GMT", 5),
        ("Tue, 01 Dec 2026 08:00:00 GMT", 0),
        ("Tue, 01 Dec 2026 09:00:05 -0000", 5),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_of_retry_after(header, NOW) == seconds


def test_a_change_is_repeated_only_with_a_key() -> None:
    assert repeats_safely("GET", None)
    assert repeats_safely("POST", "key")
    assert not any(repeats_safely(method, None) for method in ("POST", "PATCH", "DELETE"))
    assert not any(repeats_safely(method, "key") for method in ("PATCH", "DELETE"))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_failures_of_the_server_are_repeated_if_that_is_safe(status: int) -> None:
    assert retries_answer(status, "unavailable", safe=True)
    assert not retries_answer(status, "unavailable", safe=False)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 415, 422, 423, 501])
def test_a_refusal_is_final(status: int) -> None:
    assert not retries_answer(status, "some_code", safe=True)


def test_waiting_helps_when_the_first_request_still_runs_or_there_were_too_many() -> None:
    assert retries_answer(409, "idempotency_in_flight", safe=True)
    assert retries_answer(429, "rate_limited", safe=False)


@dataclass
class Row:
    status: str
    id: str = "pay_1"
    transactions: list[Row] = field(default_factory=list)


@dataclass
class Clock:
    now: float = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def states() -> Iterator[Row]:
    pending = Row("succeeded", transactions=[Row("succeeded"), Row("pending")])
    return iter([Row("unknown"), pending, Row("failed")])


def test_a_payment_is_read_until_its_outcome_is_known() -> None:
    clock, rows = Clock(), states()
    polling = Polling(clock=clock, chance=lambda: 1)
    assert poll(lambda: next(rows), polling, clock.sleep).status == "failed"
    assert clock.now == 3


def test_asyncio_waits_in_the_same_way() -> None:
    clock, rows = Clock(), states()

    async def read() -> Row:
        return next(rows)

    async def sleep(seconds: float) -> None:
        clock.sleep(seconds)

    polling = Polling(clock=clock, chance=lambda: 1)
    with pytest.raises(StopIteration) as ended:
        poll_async(read, polling, sleep).send(None)
    assert ended.value.value.status == "failed"
    assert clock.now == 3


def test_waiting_ends() -> None:
    clock = Clock()
    polling = Polling(20, clock=clock)
    with pytest.raises(OutcomeUnknown, match="do not pay again") as raised:
        poll(lambda: Row("processing"), polling, clock.sleep)
    assert raised.value.payment_id == "pay_1"
    assert 5 < clock.now <= 20


@pytest.mark.parametrize("status", ["requires_action", "requires_capture", "canceled"])
def test_what_does_not_wait_for_the_processor_is_known(status: str) -> None:
    assert outcome_is_known(Row(status))
