"""Webhook deliveries: one row per event and endpoint, and one per endpoint that has failed."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from runtime.core.fields import EpochSeconds, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Encrypted, Row, Ttl, partition, shown_in, sort

_URL_HASH_CHARACTERS = 32


class WebhookStatus(StrEnum):
    """Pending ones have a `next_retry`; the others are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


class EventType(StrEnum):
    """What merchants are told of."""

    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_REQUIRES_CAPTURE = "payment.requires_capture"
    PAYMENT_CANCELED = "payment.canceled"
    PAYMENT_UNKNOWN = "payment.unknown"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    TRANSFER_PROCESSED = "transfer.processed"
    TRANSFER_FAILED = "transfer.failed"
    TRANSFER_CANCELED = "transfer.canceled"
    SETTLEMENT_COMPLETED = "settlement.completed"
    SETTLEMENT_EXCEPTIONS = "settlement.exceptions"
    EXPORT_COMPLETED = "export.completed"
    ACCOUNT_LOCKED = "account.locked"
    ALERT_LARGE_TRANSACTION = "alert.large_transaction"
    ALERT_SUSPICIOUS_VELOCITY = "alert.suspicious_velocity"


class WebhookState(Record, frozen=True):
    """A delivery without what it delivers: no key at all is needed.

    Every change is one `version` more, and whoever works on a delivery names the version that it
    knows: of two, one is too late. `url` is where the last attempt went, or the first will go.
    `attempts_before`: those before it was last asked for again by hand, from where on the retry
    schedule counts. `by_hand`: a person asked, so an endpoint that is given up is tried
    nevertheless.
    """

    id: Annotated[str, partition()]
    version: Annotated[int, shown_in("gsi-retry")] = 1
    merchant_id: Annotated[str, shown_in("gsi-retry")]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    event_key: Annotated[str, sort("gsi-merchant")]
    retry_bucket: Annotated[str | None, partition("gsi-retry")] = None
    next_retry: Annotated[Timestamp | None, sort("gsi-retry")] = None
    event_type: EventType
    sequence: int
    payment_id: str | None = None
    url: str
    status: Annotated[WebhookStatus, shown_in("gsi-merchant")] = WebhookStatus.PENDING
    attempts: int = 0
    attempts_before: int = 0
    by_hand: bool | None = None
    last_attempt: Timestamp | None = None
    response_code: int | None = None
    failure_reason: str | None = None
    expires_at: Annotated[EpochSeconds, Ttl()]
    """While it is pending, until when it is tried; of a final one, until when it is kept."""


class Webhook(WebhookState, table="webhooks", frozen=True):
    """One event on its way to one endpoint. `payload` is the body as it is sent, to the byte."""

    payload: Annotated[str, Encrypted("pii", subject="merchant_id"), Field(repr=False)]


class EndpointHealth(Row, frozen=True):
    """What is held against an endpoint: a row of the webhooks table, from its first failure on.

    `failures` are those in a row, `opened` how often they rested it since it was last well. Until
    `open_until` nothing is sent there. Then a first delivery finds out how it is, and until it is
    answered, or `probe_until` is over, no other is sent. `gone_at`: it answered 410, and only what
    is asked for by hand goes there. `expires_at`: when all this is forgotten; never while it is
    gone.
    """

    id: str
    merchant_id: str
    version: int = 1
    failures: int = 0
    opened: int = 0
    open_until: Timestamp | None = None
    probe_until: Timestamp | None = None
    gone_at: Timestamp | None = None
    updated_at: Timestamp
    expires_at: EpochSeconds | None = None

    table_schema = Webhook.table_schema


def endpoint_id(merchant_id: str, url: str) -> str:
    """Key of an endpoint's row. The URL may hold a secret, and may be long: its hash stands."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:_URL_HASH_CHARACTERS]
    return f"endpoint#{merchant_id}#{digest}"


def event_key(event_type: str, webhook_id: str) -> str:
    """Sort key of a delivery among its merchant's: by type, the newest last."""
    return f"event#{event_type}#{webhook_id}"
