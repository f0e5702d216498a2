"""When a delivery is retried, when an endpoint is paused, and the keys of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.settings import DeliverSettings
from runtime.webhooks.models import EndpointHealth, WebhookState
from runtime.webhooks.schedule import (
    FAILURES_TO_OPEN,
    HEALTH_KEPT,
    LONGEST_REST,
    MAX_RETRY_AFTER,
    MIN_RETRY_AFTER,
    PROBE_LEASE,
    RetrySchedule,
    Verdict,
    after_failure,
    after_success,
    is_blameless,
    next_attempt,
    probing,
    rest_ends,
    retry_after,
    unprobed,
    verdict_on,
)

NOW = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
DEFAULT = RetrySchedule.parsed(DeliverSettings.model_fields["retry_delays_seconds"].default)
WORDS = [
    "Mon,",
    "01",
    "Jan",
    "2026",
    "9" * 11,
    "00:00:00",
    "24:61",
    "GMT",
    "-0000",
    "+9999",
    "Jan-",
]
HEALTHY = EndpointHealth(
    id="endpoint#1", merchant_id="mer_1", updated_at=to_timestamp(NOW), expires_at=1
)


def delivery(**changes: object) -> WebhookState:
    values: dict[str, object] = {
        "id": "whk_1",
        "merchant_id": "mer_1",
        "merchant_bucket": "b",
        "event_key": "e",
        "event_type": "payment.succeeded",
        "sequence": 1,
        "url": "https://hooks.example/",
        "attempts": 1,
        "expires_at": to_epoch_seconds(NOW + timedelta(days=3)),
        "created_at": to_timestamp(NOW),
        "updated_at": to_timestamp(NOW),
        "changed_by": "t",
        "request_id": "r",
        "cause": "c",
        **changes,
    }
    return WebhookState(**values)  # type: ignore[arg-type]


def failed_often(times: int, at: datetime = NOW) -> EndpointHealth:
    health = HEALTHY
    for _ in range(times):
        health = after_failure(health, at, gone=False)
    return health


def test_delays_grow_as_documented_and_then_stay() -> None:
    seconds = [DEFAULT.delay(n, 0.0).total_seconds() for n in range(1, 10)]
    assert seconds == [5, 300, 1800, 7200, 18000, 36000, 50400, 50400, 50400]


@pytest.mark.parametrize("attempts", [1, 4, 9])
def test_jitter_only_lengthens_and_by_a_tenth_at_most(attempts: int) -> None:
    plain = DEFAULT.delay(attempts, 0.0)
    assert DEFAULT.delay(attempts, 0.999) <= plain * 1.1
    assert DEFAULT.delay(attempts, 0.5) > plain


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (429, "120", timedelta(seconds=120)),
        (503, " 120 ", timedelta(seconds=120)),
        (429, "Sat, 14 Mar 2026 09:10:00 GMT", timedelta(minutes=10)),
        (429, "Sat, 14 Mar 2026 09:10:00 -0000", timedelta(minutes=10)),
        (429, "Sat, 14 Mar 2026 08:00:00 GMT", MIN_RETRY_AFTER),
        (429, "0", MIN_RETRY_AFTER),
        (429, "999999", MAX_RETRY_AFTER),
        (429, "9" * 400, MAX_RETRY_AFTER),
        (503, "Sat, 14 Mar 2099 09:10:00 GMT", MAX_RETRY_AFTER),
        (429, "soon", None),
        (429, "-5", None),
        (429, "١٢", None),
        (429, "Sat, 99 Mar 2026 99:10:00 GMT", None),
        (429, "Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        (503, "Mon, 01 Jan 2026 00:00:00 +99999999999", None),
        (503, "\x00", None),
        (503, "", None),
        (429, None, None),
        (500, "120", None),
        (None, "120", None),
    ],
)
def test_retry_after_is_respected_within_bounds(
    status: int | None, header: str | None, expected: timedelta | None
) -> None:
    assert retry_after(status, header, NOW) == expected


@given(words=st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=8))
def test_any_retry_after_is_within_bounds_or_ignored(words: list[str]) -> None:
    asked = retry_after(503, " ".join(words), NOW)
    assert asked is None or MIN_RETRY_AFTER <= asked <= MAX_RETRY_AFTER


def test_the_next_attempt_is_scheduled_or_requested_and_never_after_the_deadline() -> None:
    assert next_attempt(delivery(attempts=2), NOW, DEFAULT, None, 0.0) == NOW + timedelta(minutes=5)
    asked = timedelta(hours=3)
    assert next_attempt(delivery(), NOW, DEFAULT, asked, 0.9) == NOW + asked
    ends = to_epoch_seconds(NOW + timedelta(minutes=5))
    assert next_attempt(delivery(attempts=2, expires_at=ends), NOW, DEFAULT, None, 0.0) is None
    later = delivery(attempts=2, expires_at=ends + 1)
    assert next_attempt(later, NOW, DEFAULT, None, 0.0) is not None


def test_a_requested_redelivery_restarts_the_schedule() -> None:
    row = delivery(attempts=8, attempts_before=7)
    assert next_attempt(row, NOW, DEFAULT, None, 0.0) == NOW + timedelta(seconds=5)


def test_an_endpoint_is_paused_after_consecutive_failures_and_longer_each_time() -> None:
    almost = failed_often(FAILURES_TO_OPEN - 1)
    assert verdict_on(almost, NOW, by_hand=False) is Verdict.SEND
    health = after_failure(almost, NOW, gone=False)
    rests, now = [], NOW
    for _ in range(9):
        ends = rest_ends(health)
        assert verdict_on(health, ends - timedelta(seconds=1), by_hand=False) is Verdict.REST
        assert verdict_on(health, ends, by_hand=False) is Verdict.PROBE
        rests.append(ends - now)
        now = ends
        health = after_failure(health, now, gone=False)
    minutes = [rest.total_seconds() / 60 for rest in rests]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert rests[-1] == LONGEST_REST


def test_a_failure_of_an_earlier_attempt_does_not_extend_a_pause() -> None:
    health = failed_often(FAILURES_TO_OPEN)
    again = after_failure(health, NOW + timedelta(seconds=3), gone=False)
    assert (again.open_until, again.opened) == (health.open_until, 1)
    assert again.failures == FAILURES_TO_OPEN + 1


def test_one_delivery_probes_and_the_others_wait_for_it() -> None:
    health = failed_often(FAILURES_TO_OPEN)
    at = rest_ends(health)
    probed = probing(health, at)
    assert verdict_on(probed, at, by_hand=False) is Verdict.REST
    assert rest_ends(probed) == at + PROBE_LEASE
    assert verdict_on(probed, at + PROBE_LEASE, by_hand=False) is Verdict.PROBE
    well = after_success(probed, at, by_hand=False)
    assert is_blameless(well)
    assert verdict_on(well, at, by_hand=False) is Verdict.SEND


def test_a_gone_endpoint_gets_only_requested_redeliveries() -> None:
    gone = after_failure(HEALTHY, NOW, gone=True)
    assert verdict_on(gone, NOW + timedelta(days=9), by_hand=False) is Verdict.GONE
    assert verdict_on(gone, NOW, by_hand=True) is Verdict.SEND
    assert not is_blameless(gone)
    mended = after_success(gone, NOW, by_hand=True)
    assert verdict_on(mended, NOW, by_hand=False) is Verdict.SEND
    assert is_blameless(mended)


def test_a_success_of_an_earlier_attempt_does_not_reactivate_a_gone_endpoint() -> None:
    gone = after_failure(failed_often(2), NOW, gone=True)
    after = after_success(gone, NOW + timedelta(seconds=3), by_hand=False)
    assert (after.failures, after.gone_at) == (0, gone.gone_at)
    assert verdict_on(after, NOW, by_hand=False) is Verdict.GONE
    failed_too = after_failure(after, NOW + timedelta(seconds=4), gone=False)
    assert failed_too.gone_at == gone.gone_at


def test_failures_expire_and_a_gone_endpoint_does_not() -> None:
    rested = failed_often(FAILURES_TO_OPEN)
    assert rested.expires_at == to_epoch_seconds(NOW + HEALTH_KEPT)
    over = NOW + HEALTH_KEPT  # the table deletes it some days later
    assert verdict_on(rested, over - timedelta(seconds=1), by_hand=False) is Verdict.PROBE
    assert verdict_on(rested, over, by_hand=False) is Verdict.SEND
    anew = after_failure(rested, over, gone=False)
    assert (anew.failures, anew.opened, anew.open_until) == (1, 0, None)
    gone = after_failure(rested, NOW, gone=True)
    later = after_failure(probing(gone, NOW), NOW, gone=False)
    assert gone.expires_at is later.expires_at is None
    assert verdict_on(later, NOW + timedelta(days=999), by_hand=False) is Verdict.GONE
    mended = after_success(later, NOW, by_hand=True)
    assert mended.expires_at == to_epoch_seconds(NOW + HEALTH_KEPT)


def test_releasing_the_probe_lets_the_next_delivery_probe() -> None:
    health = failed_often(FAILURES_TO_OPEN)
    at = rest_ends(health)
    given_back = unprobed(probing(health, at), at)
    assert verdict_on(given_back, at, by_hand=False) is Verdict.PROBE
    assert given_back.version == health.version + 2


def test_a_new_endpoint_is_never_held_back() -> None:
    assert verdict_on(None, NOW, by_hand=False) is Verdict.SEND
