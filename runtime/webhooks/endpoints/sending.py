"""Webhooks of one endpoint that are sent, or ended, on request: tests, recovery, deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from runtime.core.echo import quoted
from runtime.core.errors import InvalidState, InvalidValue, StaleWrite, Unavailable
from runtime.core.ids import EPOCH, lowest_id
from runtime.core.observability import logger
from runtime.core.scope import Scope
from runtime.core.timestamps import start_of, to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import all_buckets, retry_bucket
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, success
from runtime.idempotency.claims import create_once, earlier_answer
from runtime.idempotency.optimistic_update import next_version, retry_stale
from runtime.merchants.models import EndpointProfile
from runtime.webhooks.deliveries import webhook_answer
from runtime.webhooks.delivery import DELETED, ended
from runtime.webhooks.delivery_queue import DeliveryOrder
from runtime.webhooks.endpoints.answers import endpoint_answer
from runtime.webhooks.endpoints.api import EndpointRecovery, RecoveryAnswer
from runtime.webhooks.endpoints.dependencies import MAX_ATTEMPTS, EndpointDependencies, busy
from runtime.webhooks.endpoints.stored import StoredEndpoint
from runtime.webhooks.events import DELIVERY_PREFIX
from runtime.webhooks.models import (
    EndpointHealth,
    EventType,
    WebhookState,
    WebhookStatus,
)
from runtime.webhooks.new_deliveries import News, Target, new_delivery
from runtime.webhooks.repository import WebhookRepository
from runtime.webhooks.schedule import after_success

MAX_RECOVERED: Final = 500
"""Webhooks that one recovery sends, and that one deletion ends, before it answers."""
UNDELIVERED_PAGE: Final = 100
PARALLEL_WRITES: Final = 8


def send_test(endpoint_id: str, call: Call, deps: EndpointDependencies) -> StoredAnswer:
    """Send `endpoint.test`, also to an endpoint that is disabled or paused; answers 202.

    Raises NotFound.
    """
    stored = deps.stored.read(endpoint_id, call)
    endpoint, merchant = stored.endpoint, stored.merchant
    data = endpoint_answer(endpoint, health_of(endpoint, deps.webhooks), call.now)
    row = new_delivery(
        call.new_id(DELIVERY_PREFIX),
        News(EventType.ENDPOINT_TEST, to_timestamp(call.now), endpoint.version, data),
        Target(merchant.id, endpoint.id, endpoint.url, merchant.index_buckets),
        call.caller.change(cause=endpoint.id),
        call.now,
        deadline=deps.deadline,
    ).model_copy(update={"by_hand": True})
    answer = create_once(
        call,
        merchant.id,
        webhook_answer(row),
        lambda claim, token: deps.webhooks.create(row, claim, token=token, now=call.now),
        claims=deps.claims,
        index_buckets=merchant.index_buckets,
        status=HTTPStatus.ACCEPTED,
    )
    if not answer.replayed:
        try:
            deps.queue.send(DeliveryOrder.of(row))
        except Unavailable:  # the delivery becomes due, so the schedule queues it
            logger.warning("a test is queued when due", webhook=row.id)
    return answer


def forgive(endpoint: EndpointProfile, now: datetime, webhooks: WebhookRepository) -> None:
    """End the endpoint's pause, or what its answer 410 has caused. Raises Unavailable."""

    def attempt() -> None:
        health = health_of(endpoint, webhooks)
        if health is not None:
            webhooks.note_health(health, after_success(health, now, by_hand=True))

    retry_stale(MAX_ATTEMPTS, attempt, busy(endpoint.id))


def recover_endpoint(
    endpoint_id: str, request: EndpointRecovery, call: Call, deps: EndpointDependencies
) -> StoredAnswer:
    """Send at once what the endpoint has not accepted since a time, and end its pause: 202.

    At most MAX_RECOVERED webhooks: what is sent is no longer found, so the same request goes on
    with the rest. Raises NotFound, InvalidValue, InvalidState for a disabled endpoint, Unavailable.
    """
    stored = deps.stored.read(endpoint_id, call)
    owner = stored.merchant.id
    repeated = earlier_answer(call, owner, deps.claims)
    if repeated is not None:
        return repeated
    if not stored.endpoint.is_enabled:
        raise InvalidState(
            f"Webhook endpoint {endpoint_id} is disabled; enable it and recover it again"
        )
    since = _since(request)
    forgive(stored.endpoint, call.now, deps.webhooks)
    waiting = _undelivered(stored, lowest_id(DELIVERY_PREFIX, since), deps)
    ids = list(islice(waiting, MAX_RECOVERED))
    sent = _changed_all(ids, stored, partial(_again, call=call, deps=deps), call, deps)
    unsent = deps.queue.send_all([DeliveryOrder.of(row) for row in sent])
    if unsent:
        logger.warning("recovered webhooks are queued when due", webhooks=len(unsent))
    body = RecoveryAnswer(recovered=len(sent), has_more=next(waiting, None) is not None)
    if call.idempotency_key is None:
        return success(HTTPStatus.ACCEPTED, body)
    return create_once(
        call,
        owner,
        body,
        lambda claim, token: deps.webhooks.keep_answer(claim, token=token, now=call.now),
        claims=deps.claims,
        index_buckets=stored.merchant.index_buckets,
        status=HTTPStatus.ACCEPTED,
    )


def end_waiting(stored: StoredEndpoint, call: Call, deps: EndpointDependencies) -> None:
    """End what waits for a deleted endpoint.

    Those above MAX_RECOVERED, and those that were never attempted, end at their next turn.
    """
    waiting = _undelivered(stored, lowest_id(DELIVERY_PREFIX, EPOCH), deps)
    ids = list(islice(waiting, MAX_RECOVERED))
    _changed_all(ids, stored, partial(_without_endpoint, call=call), call, deps)


def health_of(endpoint: EndpointProfile, webhooks: WebhookRepository) -> EndpointHealth | None:
    """The endpoint's health, strongly consistent; None if it has never failed."""
    return webhooks.health(endpoint.merchant_id, endpoint.id, endpoint.url)


def _since(request: EndpointRecovery) -> datetime:
    try:
        return start_of(request.since)
    except (ValueError, OverflowError):
        raise InvalidValue(
            f"since must be a valid date or time; got {quoted(request.since)}", param="since"
        ) from None


def _undelivered(
    stored: StoredEndpoint, since_id: str, deps: EndpointDependencies
) -> Iterator[str]:
    """Ids of what the endpoint has not accepted: oldest first in each bucket."""
    buckets = all_buckets(stored.endpoint.id, stored.merchant.index_buckets)
    for bucket in buckets:
        found = deps.webhooks.undelivered(bucket, since_id, page_size=UNDELIVERED_PAGE)
        yield from (entry.id for entry in found)


def _changed_all(
    ids: Sequence[str],
    stored: StoredEndpoint,
    change: Callable[[WebhookState], Mapping[str, Any]],
    call: Call,
    deps: EndpointDependencies,
) -> list[WebhookState]:
    """Change those that still wait; returns those that this request has changed.

    The index may lag behind, and a delivery may be attempted meanwhile.
    """

    def changed(row: WebhookState) -> WebhookState | None:
        after = next_version(row, change(row), call)
        try:
            deps.webhooks.move(row, after)
        except StaleWrite:
            return None
        return after

    done: list[WebhookState] = []
    with deps.threads(PARALLEL_WRITES) as pool:
        for start in range(0, len(ids), UNDELIVERED_PAGE):
            page = ids[start : start + UNDELIVERED_PAGE]
            rows = deps.webhooks.states(page, Scope(stored.merchant.id))
            waiting = [row for row in rows if row.undelivered_bucket is not None]
            done += [row for row in pool.map(changed, waiting) if row is not None]
    return done


def _again(row: WebhookState, call: Call, deps: EndpointDependencies) -> Mapping[str, Any]:
    return {
        "status": WebhookStatus.PENDING,
        "retry_bucket": retry_bucket(row.id),
        "next_retry": to_timestamp(call.now),
        "undelivered_bucket": None,
        "attempts_before": row.attempts,
        "by_hand": None,
        "expires_at": to_epoch_seconds(call.now + deps.deadline),
        "request_id": row.request_id,  # the event's; the recovery's is the cause
    }


def _without_endpoint(row: WebhookState, call: Call) -> Mapping[str, Any]:
    kept = {"request_id": row.request_id, "undelivered_bucket": None}
    if row.status is not WebhookStatus.PENDING:
        return kept
    return {**ended(row, WebhookStatus.EXPIRED, DELETED, call.now), **kept}
