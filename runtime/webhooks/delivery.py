"""One turn of one delivery: check, claim, send, record the result.

A worker claims a delivery first: a write conditional on the version in the order. Of two workers
with the same order one sends, and a late order sends nothing. If a worker dies after the claim, the
delivery becomes due again when the lease ends, and is sent again under the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar

from runtime.core.change_context import ChangeContext
from runtime.core.errors import (
    DecryptionFailure,
    IntegrityError,
    KeyForgotten,
    StaleWrite,
    Unavailable,
)
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import rest_bucket, retry_bucket, undelivered_bucket
from runtime.merchants.webhook_endpoints import first_endpoint_id
from runtime.webhooks.delivery_queue import MAX_DELAY, DeliveryOrder, DeliveryQueue
from runtime.webhooks.endpoint_health import Endpoint, Endpoints
from runtime.webhooks.http_sender import BROKEN, Reply
from runtime.webhooks.models import EndpointHealth, Webhook, WebhookState, WebhookStatus
from runtime.webhooks.repository import WebhookRepository
from runtime.webhooks.schedule import (
    RetrySchedule,
    Verdict,
    next_attempt,
    probing,
    rest_ends,
    retry_after,
    verdict_on,
    within_deadline,
)
from runtime.webhooks.signature import signed_headers

ATTEMPT_LEASE: Final = timedelta(seconds=60)
"""Longer than an attempt (http_sender.TOTAL_SECONDS) and the write after it take."""
FINAL_KEPT: Final = timedelta(days=30)
"""How long a final delivery is shown and can be redelivered."""
POSTPONED_SPREAD: Final = timedelta(seconds=30)
"""Interval over which deliveries are spread that wait for the same rest to end."""
UNREADABLE_REST: Final = timedelta(hours=1)
"""Delay before retrying a merchant whose secret cannot be decrypted."""
DELIVERED_BY: Final = "system:deliver"

NO_ENDPOINT: Final = "the merchant no longer has a webhook_url"
DELETED: Final = "its endpoint was deleted"
DISABLED: Final = "the endpoint is disabled: enable it, and then recover it"
GONE: Final = "the endpoint answered 410 (gone): redeliver manually, or change webhook_url"
TOO_OLD: Final = "its deadline passed before it was delivered"
UNREADABLE: Final = "its content could not be decrypted"

_OK, _REDIRECTS, _REFUSALS = 200, 300, 400
"""First status codes of HTTP's response classes."""

StateT = TypeVar("StateT", bound=WebhookState)


class DeliveryOutcome(StrEnum):
    """Outcome of a turn."""

    DELIVERED = "delivered"
    TO_RETRY = "to_retry"
    POSTPONED = "postponed"
    FAILED = "failed"
    EXPIRED = "expired"
    STALE = "stale"


class Http(Protocol):
    """Sends one request to a merchant's endpoint."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send it and return the result; failures of the endpoint are not raised."""
        ...


@dataclass(frozen=True)
class DeliveryDependencies:
    """Dependencies of delivery.

    `decryption_failed` is called if a payload or a merchant's secret cannot be decrypted.
    `has_time` returns whether the invocation has time for another attempt.
    """

    webhooks: WebhookRepository
    endpoints: Endpoints
    http: Http
    queue: DeliveryQueue
    schedule: RetrySchedule
    outside: Outside
    decryption_failed: Callable[[DecryptionFailure], None]
    has_time: Callable[[], bool] = lambda: True


def deliver(order: DeliveryOrder, deps: DeliveryDependencies) -> DeliveryOutcome:
    """Execute an order if it is still valid.

    Raises Unavailable before anything is sent; the order may be retried.
    """
    if not deps.has_time():
        raise Unavailable("This invocation has no time left for another attempt")
    row = _read(order, deps)
    if row is None:
        return DeliveryOutcome.STALE
    now = deps.outside.now()
    if within_deadline(row, now) is None:
        return _end(row, WebhookStatus.EXPIRED, TOO_OLD, deps)
    try:
        endpoint = deps.endpoints.of(row.merchant_id, row.target)
    except (IntegrityError, KeyForgotten) as error:
        # The merchant's secret cannot be decrypted. It may be fixed before the deadline.
        _report(error, order, deps)
        return _postpone(row, now + UNREADABLE_REST, deps)
    if endpoint is None:
        return _without_endpoint(row, deps)
    if not (endpoint.is_enabled or row.by_hand):
        return _end(row, WebhookStatus.FAILED, DISABLED, deps)
    health = endpoint.health
    match verdict_on(health, now, by_hand=bool(row.by_hand)):
        case Verdict.GONE:
            return _end(row, WebhookStatus.FAILED, GONE, deps)
        case Verdict.REST:
            assert health is not None, "only an endpoint with a health row rests"
            return _postpone(row, rest_ends(health), deps)
        case Verdict.PROBE:
            assert health is not None, "only an endpoint with a health row rests"
            return _probe(row, endpoint, health, deps)
        case Verdict.SEND:
            claimed = _claimed(row, endpoint, deps)
            return DeliveryOutcome.STALE if claimed is None else _attempt(claimed, endpoint, deps)


def _without_endpoint(row: Webhook, deps: DeliveryDependencies) -> DeliveryOutcome:
    if row.target == first_endpoint_id(row.merchant_id):
        return _end(row, WebhookStatus.FAILED, NO_ENDPOINT, deps)
    return _end(row, WebhookStatus.EXPIRED, DELETED, deps)


def _probe(
    row: Webhook, endpoint: Endpoint, rested: EndpointHealth, deps: DeliveryDependencies
) -> DeliveryOutcome:
    """Make the single attempt after a rest, unless another delivery does."""
    try:
        probe = deps.endpoints.take_probe(rested)
    except StaleWrite:
        return _postpone(row, rest_ends(probing(rested, deps.outside.now())), deps)
    claimed = _claimed(row, endpoint, deps)
    if claimed is None:
        deps.endpoints.release_probe(probe)
        return DeliveryOutcome.STALE
    return _attempt(claimed, replace(endpoint, health=probe), deps)


def _read(order: DeliveryOrder, deps: DeliveryDependencies) -> Webhook | None:
    """The delivery, if the order is still valid. One that cannot be decrypted fails."""
    try:
        row = deps.webhooks.get(order.id)
    except (IntegrityError, KeyForgotten) as error:
        _report(error, order, deps)
        state = deps.webhooks.state(order.id, UNRESTRICTED)
        if state is not None and _holds(order, state):
            _end(state, WebhookStatus.FAILED, UNREADABLE, deps)
        return None
    return row if row is not None and _holds(order, row) else None


def _report(error: DecryptionFailure, order: DeliveryOrder, deps: DeliveryDependencies) -> None:
    logger.exception(error.code, webhook=order.id, request_id=order.request_id)
    deps.decryption_failed(error)


def _holds(order: DeliveryOrder, row: WebhookState) -> bool:
    return row.version == order.version and row.status is WebhookStatus.PENDING


def _claimed(row: Webhook, endpoint: Endpoint, deps: DeliveryDependencies) -> Webhook | None:
    """The row claimed for one attempt; None if another worker has it."""
    began = deps.outside.now()
    claimed = _next(
        row,
        deps,
        began,
        attempts=row.attempts + 1,
        url=endpoint.url,
        last_attempt=to_timestamp(began),
        cause=deps.outside.new_id("att", began),
        **_lease(row, began),
    )
    try:
        deps.webhooks.move(row, claimed)
    except StaleWrite:
        return None
    return claimed


def _lease(row: Webhook, began: datetime) -> dict[str, Any]:
    """When the delivery is due again if this worker dies.

    If it is due late enough anyway, it stays so: to move it within `gsi-retry` costs two writes.
    """
    ends, bucket = to_timestamp(began + ATTEMPT_LEASE), retry_bucket(row.id)
    if row.retry_bucket == bucket and (row.next_retry or "") >= ends:
        return {}
    return {"retry_bucket": bucket, "next_retry": ends}


def _attempt(claimed: Webhook, endpoint: Endpoint, deps: DeliveryDependencies) -> DeliveryOutcome:
    """Send it, record the result, and update the endpoint's health."""
    reply = _sent(claimed, endpoint, deps)
    outcome = _settle(claimed, reply, deps)
    deps.endpoints.note(
        endpoint,
        delivered=_is_delivered(reply),
        gone=reply.status == HTTPStatus.GONE,
        by_hand=bool(claimed.by_hand),
    )
    return outcome


def _sent(claimed: Webhook, endpoint: Endpoint, deps: DeliveryDependencies) -> Reply:
    """The endpoint's reply. Any exception is recorded as a failed attempt.

    An exception here would leave an unfinished claim: the delivery would be due again each minute
    without affecting the endpoint's health.
    """
    try:
        body, now = claimed.payload.encode(), deps.outside.now()
        headers = signed_headers(claimed.id, now, body, endpoint.secrets(now))
        return deps.http.post(endpoint.url, headers, body)
    except Exception as error:  # noqa: BLE001 - its message may contain the URL or a secret
        logger.error(
            "an attempt failed unexpectedly",
            webhook=claimed.id,
            request_id=claimed.request_id,
            error=type(error).__name__,
        )
        return Reply(failure=BROKEN)


def _settle(claimed: Webhook, reply: Reply, deps: DeliveryDependencies) -> DeliveryOutcome:
    """Record the reply, and schedule the retry."""
    now = deps.outside.now()
    outcome: dict[str, Any] = {"response_code": reply.status, "failure_reason": _reason(reply)}
    if _is_delivered(reply):
        return _end(claimed, WebhookStatus.DELIVERED, None, deps, **outcome)
    if reply.status == HTTPStatus.GONE:
        return _end(claimed, WebhookStatus.FAILED, outcome["failure_reason"], deps, **outcome)
    asked = retry_after(reply.status, reply.retry_after, now)
    at = next_attempt(claimed, now, deps.schedule, asked, deps.outside.chance.random())
    if at is None:
        return _end(claimed, WebhookStatus.EXPIRED, outcome["failure_reason"], deps, **outcome)
    waiting = _next(
        claimed,
        deps,
        now,
        next_retry=to_timestamp(at),
        undelivered_bucket=_undelivered(claimed),
        by_hand=None,
        **outcome,
    )
    return _wait(claimed, waiting, at - now, DeliveryOutcome.TO_RETRY, deps)


def _postpone(row: Webhook, until: datetime, deps: DeliveryDependencies) -> DeliveryOutcome:
    """Wait for the endpoint's rest to end, in a separate queue, without counting an attempt."""
    now = deps.outside.now()
    at = within_deadline(row, max(until, now) + POSTPONED_SPREAD * deps.outside.chance.random())
    if at is None:
        return _end(row, WebhookStatus.EXPIRED, TOO_OLD, deps)
    rest = rest_bucket(row.merchant_bucket)
    waiting = _next(
        row,
        deps,
        now,
        retry_bucket=rest,
        next_retry=to_timestamp(at),
        undelivered_bucket=_undelivered(row),
    )
    return _wait(row, waiting, at - now, DeliveryOutcome.POSTPONED, deps)


def _wait(
    before: Webhook,
    waiting: Webhook,
    delay: timedelta,
    outcome: DeliveryOutcome,
    deps: DeliveryDependencies,
) -> DeliveryOutcome:
    try:
        deps.webhooks.move(before, waiting)
    except StaleWrite:
        return DeliveryOutcome.STALE
    if delay <= MAX_DELAY:
        try:
            deps.queue.send(DeliveryOrder.of(waiting), delay)
        except Unavailable:  # the schedule queues it when it is due
            logger.warning(
                "a delivery is queued again when due",
                webhook=waiting.id,
                request_id=waiting.request_id,
            )
    return outcome


def _end(
    row: WebhookState,
    status: WebhookStatus,
    reason: str | None,
    deps: DeliveryDependencies,
    **outcome: Any,
) -> DeliveryOutcome:
    """Finish the delivery; the row is kept for FINAL_KEPT."""
    now = deps.outside.now()
    final = _next(row, deps, now, **{**outcome, **ended(row, status, reason, now)})
    try:
        deps.webhooks.move(row, final)
    except StaleWrite:
        return DeliveryOutcome.STALE
    return DeliveryOutcome(status.value)


def ended(
    row: WebhookState, status: WebhookStatus, reason: str | None, now: datetime
) -> dict[str, Any]:
    """The changes that finish a delivery. Unless it was delivered, its endpoint can recover it."""
    is_over = status is WebhookStatus.DELIVERED or reason in (DELETED, NO_ENDPOINT)
    return {
        "status": status,
        "failure_reason": reason,
        "retry_bucket": None,
        "next_retry": None,
        "undelivered_bucket": None if is_over else _undelivered(row),
        "by_hand": None,
        "expires_at": to_epoch_seconds(now + FINAL_KEPT),
    }


def _undelivered(row: WebhookState) -> str:
    return undelivered_bucket(row.target, row.merchant_bucket)


def _is_delivered(reply: Reply) -> bool:
    return reply.status is not None and _OK <= reply.status < _REDIRECTS


def _reason(reply: Reply) -> str | None:
    if reply.failure is not None or _is_delivered(reply):
        return reply.failure
    if reply.status is not None and _REDIRECTS <= reply.status < _REFUSALS:
        return f"it answered {reply.status}: redirects are not followed"
    return GONE if reply.status == HTTPStatus.GONE else f"it answered {reply.status}"


def _next(row: StateT, deps: DeliveryDependencies, now: datetime, **changes: Any) -> StateT:
    """The row's next version. Its cause is its last attempt; it stays the event's request's."""
    cause = changes.get("cause", row.cause)
    context = ChangeContext(changed_by=DELIVERED_BY, request_id=row.request_id, cause=cause)
    return row.next_version(to_timestamp(now), changes, context)
