"""When a delivery is tried again, and when an endpoint is left alone. Pure."""

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
"""A delay is lengthened by up to this part of it, so that what failed together comes back apart."""
MIN_RETRY_AFTER: Final = timedelta(seconds=5)
MAX_RETRY_AFTER: Final = timedelta(hours=24)
"""What a Retry-After may ask for: the rest is cut off, for a mistyped one must not end it all."""
RETRY_AFTER_STATUSES: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
)

FAILURES_TO_OPEN: Final = 5
"""Failures in a row after which an endpoint is rested."""
FIRST_REST: Final = timedelta(minutes=1)
LONGEST_REST: Final = timedelta(hours=1)
"""A rest is twice as long as the one before, up to this."""
PROBE_LEASE: Final = timedelta(seconds=60)
"""How long the one attempt after a rest keeps all others away, unless it is answered before."""
HEALTH_KEPT: Final = timedelta(days=30)
"""How long an endpoint's failures are remembered when nothing more is sent there."""
_FORGIVEN: Final = {"failures": 0, "opened": 0, "open_until": None, "probe_until": None}
_DOUBLINGS: Final = 10
_DIGITS: Final = 10
"""Digits of a Retry-After in seconds; a longer number is none that anybody means."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Seconds until the second attempt, the third …; the last delay is repeated."""

    delays_seconds: tuple[int, ...]

    @staticmethod
    def parsed(text: str) -> RetrySchedule:
        """From numbers with commas between them, as a setting gives them."""
        return RetrySchedule(tuple(int(part) for part in text.split(",")))

    def delay(self, attempts: int, chance: float) -> timedelta:
        """How long to wait after the failure of attempt number `attempts` (from 1).

        `chance` in [0, 1) is the jitter's throw.
        """
        assert attempts >= 1, "the first attempt is not waited for"
        planned = self.delays_seconds[min(attempts, len(self.delays_seconds)) - 1]
        return timedelta(seconds=planned * (1 + JITTER * chance))


def retry_after(status: int | None, header: str | None, now: datetime) -> timedelta | None:
    """How long a receiver asks to be left alone (RFC 9110 section 10.2.3), within our bounds.

    None: it does not, or not so that it can be read.
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
    except (ValueError, OverflowError):  # no date, or numbers that are none of any date
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now


def next_attempt(
    row: WebhookState,
    now: datetime,
    schedule: RetrySchedule,
    asked: timedelta | None,
    chance: float,
) -> datetime | None:
    """When a delivery whose attempt has just failed is tried again; None: its time is over."""
    in_this_round = row.attempts - row.attempts_before
    wait = schedule.delay(in_this_round, chance) if asked is None else asked
    return within_deadline(row, now + wait)


def within_deadline(row: WebhookState, at: datetime) -> datetime | None:
    """`at`, if the delivery may still be tried then; else None."""
    return at if to_epoch_seconds(at) < row.expires_at else None


class Verdict(Enum):
    """What an endpoint's past says about an attempt now."""

    SEND = auto()
    PROBE = auto()
    """After a rest: one attempt alone may find out."""
    REST = auto()
    GONE = auto()


def verdict_on(health: EndpointHealth | None, now: datetime, *, by_hand: bool) -> Verdict:
    """Whether a delivery may be sent to an endpoint with this past. By hand it always may."""
    if health is None or by_hand:
        return Verdict.SEND
    health = _remembered(health, now)
    if health.gone_at is not None:
        return Verdict.GONE
    if health.open_until is None:
        return Verdict.SEND
    at = to_timestamp(now)
    if at < health.open_until or at < (health.probe_until or ""):
        return Verdict.REST
    return Verdict.PROBE


def rest_ends(health: EndpointHealth) -> datetime:
    """The earliest moment at which a rested endpoint could be tried."""
    ends = max(health.open_until or "", health.probe_until or "")
    assert ends, "the endpoint is not rested"
    return to_datetime(ends)


def after_failure(health: EndpointHealth, now: datetime, *, gone: bool) -> EndpointHealth:
    """The endpoint's past after one more failure.

    Only a failure that meets no rest begins one: what was under way when it began says no more.
    """
    health = _remembered(health, now)
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
    """The endpoint is well: nothing is held against it any more.

    But that it is gone: only what was sent `by_hand` was sent after it had said so. Any other
    success is of an attempt that was under way before.
    """
    gone_at = None if by_hand else health.gone_at
    return health.model_copy(update={**_FORGIVEN, **_stamp(health, now, gone_at)})


def probing(health: EndpointHealth, now: datetime) -> EndpointHealth:
    """Somebody finds out whether the endpoint is well; the others wait for it."""
    probe_until = to_timestamp(now + PROBE_LEASE)
    stamp = _stamp(health, now, health.gone_at)
    return health.model_copy(update={"probe_until": probe_until, **stamp})


def unprobed(probe: EndpointHealth, now: datetime) -> EndpointHealth:
    """Nobody finds out after all: the next one may."""
    stamp = _stamp(probe, now, probe.gone_at)
    return probe.model_copy(update={"probe_until": None, **stamp})


def is_blameless(health: EndpointHealth) -> bool:
    """Nothing is held against the endpoint, so a success need not be written down."""
    return health.failures == 0 and health.open_until is None and health.gone_at is None


def _remembered(health: EndpointHealth, now: datetime) -> EndpointHealth:
    """What is still held against an endpoint: DynamoDB deletes a row late whose time is over."""
    is_over = health.expires_at is not None and health.expires_at <= to_epoch_seconds(now)
    return health.model_copy(update=_FORGIVEN) if is_over else health


def _stamp(health: EndpointHealth, now: datetime, gone_at: str | None) -> dict[str, object]:
    """One version on. That an endpoint is gone is not forgotten, however long nothing is sent."""
    return {
        "version": health.version + 1,
        "updated_at": to_timestamp(now),
        "gone_at": gone_at,
        "expires_at": None if gone_at else to_epoch_seconds(now + HEALTH_KEPT),
    }
