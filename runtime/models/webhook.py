"""Webhook deliveries: one row per event and endpoint, with its attempts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from runtime.models.fields import EpochSeconds, Instant, Record
from runtime.schema import Encrypted, Ttl, partition, sort


class WebhookStatus(StrEnum):
    """Pending ones have a `next_retry`; the others are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


class Webhook(Record, table="webhooks", stream=True, frozen=True):
    """One event on its way to one endpoint."""

    id: Annotated[str, partition()]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    event_key: Annotated[str, sort("gsi-merchant")]
    retry_bucket: Annotated[str | None, partition("gsi-retry")] = None
    next_retry: Annotated[Instant | None, sort("gsi-retry")] = None
    event_type: str
    payment_id: str | None = None
    url: str
    payload: Annotated[str, Encrypted("pii", subject="merchant_id"), Field(repr=False)]
    status: WebhookStatus = WebhookStatus.PENDING
    attempts: int = 0
    last_attempt: Instant | None = None
    response_code: int | None = None
    expires_at: Annotated[EpochSeconds, Ttl()]
