"""Deliveries as merchants see them: read, list, redeliver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

from runtime.core.errors import Unavailable
from runtime.core.observability import logger
from runtime.core.scope import Scope
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import all_buckets, retry_bucket
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, read_in_batches, take_page
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import ClaimReader, create_once
from runtime.idempotency.optimistic_update import next_version, retry_stale, row_update
from runtime.merchants.profiles import MerchantProfiles
from runtime.webhooks.api import WebhookAnswer, WebhookList, WebhookQuery
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.webhooks.models import EventType, WebhookState, WebhookStatus
from runtime.webhooks.repository import WebhookRepository

FILTERED_PAGE: Final = 100
"""Deliveries read at once to find those of one status, and at most otherwise."""
MAX_ATTEMPTS: Final = 10
"""Attempts when a delivery changes concurrently."""


@dataclass(frozen=True)
class WebhookReads:
    """Dependencies of the delivery reads."""

    webhooks: WebhookRepository
    merchants: MerchantProfiles
    cursors: Cursors


@dataclass(frozen=True)
class WebhookDependencies:
    """Dependencies of redelivery. `deadline`: how long it is attempted."""

    webhooks: WebhookRepository
    queue: DeliveryQueue
    claims: ClaimReader
    deadline: timedelta


def webhook_answer(row: WebhookState) -> WebhookAnswer:
    """The API shape of a delivery."""
    values = {**row.model_dump(), "endpoint_id": row.target}
    values["expires_at"] = to_timestamp(datetime.fromtimestamp(row.expires_at, UTC))
    return WebhookAnswer.model_validate(values)


def get_webhook(webhook_id: str, call: Call, reads: WebhookReads) -> WebhookAnswer:
    """A delivery, strongly consistent. Raises NotFound."""
    return webhook_answer(_kept(webhook_id, call, reads.webhooks))


def list_webhooks(query: WebhookQuery, call: Call, reads: WebhookReads) -> WebhookList:
    """A page of the merchant's deliveries, newest first. Raises BadCursor, NotFound."""
    merchant = reads.merchants.require(call.caller.merchant(call.acting_for))
    cursor = reads.cursors.of(query, "webhooks", merchant.id)
    size = FILTERED_PAGE if query.status is not None else min(query.limit + 1, FILTERED_PAGE)
    entries = reads.webhooks.newest_first(
        all_buckets(merchant.id, merchant.index_buckets),
        (query.event_type,) if query.event_type is not None else tuple(EventType),
        after_id=cursor.position,
        page_size=size,
    )
    rows = read_in_batches(
        (entry.id for entry in entries),
        lambda ids: reads.webhooks.states(ids, Scope(merchant.id)),
        size=size,
    )
    page = take_page(
        rows,
        limit=query.limit,
        position=lambda row: row.id,
        matches=lambda row: query.status in (None, row.status) and not _is_over(row, call),
    )
    return WebhookList.from_items(
        map(webhook_answer, page.entries), cursor.after(page.next_position)
    )


def redeliver(webhook_id: str, call: Call, deps: WebhookDependencies) -> StoredAnswer:
    """Attempt a delivery again now, whatever its status, with a full deadline; answers 202.

    Raises NotFound.
    """

    def attempt() -> StoredAnswer:
        row = _kept(webhook_id, call, deps.webhooks)
        after = next_version(
            row,
            {
                "status": WebhookStatus.PENDING,
                "retry_bucket": retry_bucket(row.id),
                "next_retry": to_timestamp(call.now),
                "undelivered_bucket": None,
                "attempts_before": row.attempts,
                "by_hand": True,
                "expires_at": to_epoch_seconds(call.now + deps.deadline),
                "request_id": row.request_id,  # the event's; the redelivery's is the cause
            },
            call,
        )
        answer = create_once(
            call,
            row.merchant_id,
            webhook_answer(after),
            row_update(deps.webhooks, row, after, call),
            claims=deps.claims,
            status=HTTPStatus.ACCEPTED,
        )
        if not answer.replayed:
            _order(after, deps)
        return answer

    return retry_stale(
        MAX_ATTEMPTS,
        attempt,
        Unavailable(f"Webhook {webhook_id} is being changed by other requests; try again"),
    )


def _order(row: WebhookState, deps: WebhookDependencies) -> None:
    try:
        deps.queue.send(DeliveryOrder.of(row))
    except Unavailable:  # the delivery is due, so the schedule queues it within a minute
        logger.warning("a webhook is queued again when due", webhook=row.id)


def _kept(webhook_id: str, call: Call, webhooks: WebhookRepository) -> WebhookState:
    """The delivery, unless it has expired: DynamoDB deletes expired rows late."""
    row = require_found(webhooks.state(webhook_id, call.scope), "webhook", webhook_id)
    return require_found(None if _is_over(row, call) else row, "webhook", webhook_id)


def _is_over(row: WebhookState, call: Call) -> bool:
    is_final = row.status is not WebhookStatus.PENDING
    return is_final and row.expires_at <= to_epoch_seconds(call.now)
