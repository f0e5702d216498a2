"""When a delivery is retried, and when an endpoint rests (circuit breaker). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from runtime.core.timestamps import to_datetime, to_epoch_seconds, to_timestamp
from runtime.webhooks.models import EndpointHealth, WebhookState

JITTER: Final = 0.1
"""Delays are extended by up to this fraction, so that simultaneous failures spread out."""
MIN_RETRY_AFTER: Final = timedelta(seconds=5)
MAX_RETRY_AFTER: Final = timedelta(hours=24)
"""Bounds of Retry-After: a wrong value must not end the delivery."""
RETRY_AFTER_STATUSES: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
)

FAILURES_TO_OPEN: Final = 5
"""Consecutive failures after which an endpoint rests."""
FIRST_REST: Final = timedelta(minutes=1)
LONGEST_REST: Final = timedelta(hours=1)
"""Each rest is twice as long as the one before, up to this."""
PROBE_LEASE: Final = timedelta(seconds=60)
"""How long the probe after a rest blocks other deliveries unless it finishes earlier."""
HEALTH_KEPT: Final = timedelta(days=30)
"""How long an endpoint's failures are kept after the last delivery."""
_FORGIVEN: Final = {"failures": 0, "opened": 0, "open_until": None, "probe_until": None}
_DOUBLINGS: Final = 10
_DIGITS: Final = 10
"""Maximum digits of a Retry-After in seconds; longer numbers count as the maximum."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Seconds until the second attempt, the third …; the last delay repeats."""

    delays_seconds: tuple[int, ...]

    @staticmethod
    def parsed(text: str) -> RetrySchedule:
        """Parse the comma-separated setting."""
        return RetrySchedule(tuple(int(part) for part in text.split(",")))

    def delay(self, attempts: int, chance: float) -> timedelta:
        """Delay after the failure of attempt number `attempts` (from 1).

        `chance` in [0, 1) determines the jitter.
        """
        assert attempts >= 1, "the first attempt has no delay"
        planned = self.delays_seconds[min(attempts, len(self.delays_seconds)) - 1]
        return timedelta(seconds=planned * (1 + JITTER * chance))


def retry_after(status: int | None, header: str | None, now: datetime) -> timedelta | None:
    """The delay a receiver asks for (RFC 9110 section 10.2.3), within bounds.

    None if it does not ask for one or the value is invalid.
    """
    if status not in RETRY_AFTER_STATUSES or header is None:
        return None
    asked = _asked(header.strip(), now)
    return None if asked is None else min(max(asked, MIN_RETRY_AFTER), MAX_RETRY_AFTER)


def _asked(text: str, now: datetime) -> timedelta | None:
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) <= _DIGITS else MAX_RETRY_AFTER
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # not a date, or out of range
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now


def next_attempt(
    row: WebhookState,
    now: datetime,
    schedule: RetrySchedule,
    asked: timedelta | None,
    chance: float,
) -> datetime | None:
    """Time of the retry after a failed attempt; None if it is past the deadline."""
    in_this_round = row.attempts - row.attempts_before
    wait = schedule.delay(in_this_round, chance) if asked is None else asked
    return within_deadline(row, now + wait)


def within_deadline(row: WebhookState, at: datetime) -> datetime | None:
    """`at`, if it is before the delivery's deadline; else None."""
    return at if to_epoch_seconds(at) < row.expires_at else None


class Verdict(Enum):
    """What an endpoint's health permits now."""

    SEND = auto()
    PROBE = auto()
    """After a rest: a single attempt may probe the endpoint."""
    REST = auto()
    GONE = auto()


def verdict_on(health: EndpointHealth | None, now: datetime, *, by_hand: bool) -> Verdict:
    """Whether a delivery may be sent to an endpoint. Manual redeliveries always may."""
    if health is None or by_hand:
        return Verdict.SEND
    health = remembered(health, now)
    if health.gone_at is not None:
        return Verdict.GONE
    if health.open_until is None:
        return Verdict.SEND
    at = to_timestamp(now)
    if at < health.open_until or at < (health.probe_until or ""):
        return Verdict.REST
    return Verdict.PROBE


def rest_ends(health: EndpointHealth) -> datetime:
    """The earliest time at which a resting endpoint may be tried."""
    ends = max(health.open_until or "", health.probe_until or "")
    assert ends, "the endpoint is not resting"
    return to_datetime(ends)


def after_failure(health: EndpointHealth, now: datetime, *, gone: bool) -> EndpointHealth:
    """The endpoint's health after another failure.

    A failure during a rest does not extend it: the attempt started before the rest.
    """
    health = remembered(health, now)
    at = to_timestamp(now)
    failures = health.failures + 1
    gone_at = at if gone else health.gone_at
    changes: dict[str, object] = {"failures": failures, **_stamp(health, now, gone_at)}
    resting = health.open_until is not None and at < health.open_until
    if failures >= FAILURES_TO_OPEN and not resting:
        opened = health.opened + 1
        rest = min(FIRST_REST * 2 ** min(opened - 1, _DOUBLINGS), LONGEST_REST)
        changes |= {"opened": opened, "open_until": to_timestamp(now + rest), "probe_until": None}
    return health.model_copy(update=changes)


def after_success(health: EndpointHealth, now: datetime, *, by_hand: bool) -> EndpointHealth:
    """The endpoint's health after a success: reset, except `gone_at`.

    Only a manual redelivery clears `gone_at`; any other success is of an attempt that started
    before the endpoint answered 410.
    """
    gone_at = None if by_hand else health.gone_at
    return health.model_copy(update={**_FORGIVEN, **_stamp(health, now, gone_at)})


def probing(health: EndpointHealth, now: datetime) -> EndpointHealth:
    """Reserve the probe of a resting endpoint."""
    probe_until = to_timestamp(now + PROBE_LEASE)
    stamp = _stamp(health, now, health.gone_at)
    return health.model_copy(update={"probe_until": probe_until, **stamp})


def unprobed(probe: EndpointHealth, now: datetime) -> EndpointHealth:
    """Release the probe."""
    stamp = _stamp(probe, now, probe.gone_at)
    return probe.model_copy(update={"probe_until": None, **stamp})


def is_blameless(health: EndpointHealth) -> bool:
    """Whether the health is already clear, so a success need not be recorded."""
    return health.failures == 0 and health.open_until is None and health.gone_at is None


def remembered(health: EndpointHealth, now: datetime) -> EndpointHealth:
    """The health without failures that have expired: DynamoDB deletes expired rows late."""
    is_over = health.expires_at is not None and health.expires_at <= to_epoch_seconds(now)
    return health.model_copy(update=_FORGIVEN) if is_over else health


def _stamp(health: EndpointHealth, now: datetime, gone_at: str | None) -> dict[str, object]:
    """Increment the version. `gone_at` does not expire."""
    return {
        "version": health.version + 1,
        "updated_at": to_timestamp(now),
        "gone_at": gone_at,
        "expires_at": None if gone_at else to_epoch_seconds(now + HEALTH_KEPT),
    }
