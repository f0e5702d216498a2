"""A new delivery: one event, or a test, for one endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import bucket_for, retry_bucket
from runtime.http.shapes import Answer
from runtime.webhooks.api import WebhookBody
from runtime.webhooks.delivery import ATTEMPT_LEASE
from runtime.webhooks.models import EventType, Webhook, event_key

MESSAGE_GRACE: Final = 2 * ATTEMPT_LEASE
"""Time for the first message to arrive before it is considered lost. An attempt that begins within
the first half needs no later time for its lease, so it leaves `gsi-retry` unchanged."""


@dataclass(frozen=True, slots=True)
class News:
    """What a delivery is about: a resource as the API shows it, and what happened to it at `at`."""

    type: EventType
    at: Timestamp
    sequence: int
    data: Answer
    payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint that a delivery goes to. `index_buckets` are its merchant's."""

    merchant_id: str
    endpoint_id: str
    url: str
    index_buckets: int


def new_delivery(
    webhook_id: str,
    news: News,
    target: Target,
    context: ChangeContext,
    now: datetime,
    *,
    deadline: timedelta,
) -> Webhook:
    """A delivery that is due when its first message is considered lost."""
    body = WebhookBody(
        id=webhook_id, type=news.type, created=news.at, sequence=news.sequence, data=news.data
    )
    return Webhook(
        id=webhook_id,
        merchant_id=target.merchant_id,
        endpoint_id=target.endpoint_id,
        merchant_bucket=bucket_for(target.merchant_id, webhook_id, target.index_buckets),
        event_key=event_key(news.type, webhook_id),
        retry_bucket=retry_bucket(webhook_id),
        next_retry=to_timestamp(now + MESSAGE_GRACE),
        event_type=news.type,
        sequence=news.sequence,
        payment_id=news.payment_id,
        url=target.url,
        payload=body.model_dump_json(),
        expires_at=to_epoch_seconds(now + deadline),
        created_at=news.at,
        updated_at=to_timestamp(now),
        **context.stamp(),
    )
