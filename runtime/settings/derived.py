"""Settings of the functions behind change streams: projections, archive, totals and webhooks."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from runtime.settings.base import Settings

LARGE_TRANSACTION_MINOR: Final = 1_000_000
"""Payments and transfers from this amount on, in minor units, raise an alert."""
VELOCITY_PAYMENTS: Final = 5
"""This many payments of a customer within one minute raise an alert."""
MAX_VELOCITY_PAYMENTS: Final = 100
"""The number of payment ids kept per minute (compliance/repository.py)."""

WebhookDeadline = Annotated[int, Field(ge=60, le=14 * 86_400)]
"""How long a webhook is attempted, in seconds from its creation or redelivery request."""


class ProjectSettings(Settings, frozen=True):
    """The function behind the tables' change streams."""

    accounts_table: str
    alerts_table: str
    audit_log_table: str
    customers_table: str
    entries_table: str
    exports_table: str
    keys_table: str
    limits_table: str
    merchants_table: str
    payments_table: str
    settlements_table: str
    totals_table: str
    transactions_table: str
    transfers_table: str
    webhooks_table: str
    pii_key_arn: str
    delivery_queue_url: str
    export_queue_url: str
    failed_batches_bucket: str
    merchant_cache_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    webhook_deadline_seconds: WebhookDeadline = 3 * 86_400
    large_transaction_minor: Annotated[int, Field(ge=1)] = LARGE_TRANSACTION_MINOR
    velocity_payments: Annotated[int, Field(ge=2, le=MAX_VELOCITY_PAYMENTS)] = VELOCITY_PAYMENTS


class ArchiveSettings(Settings, frozen=True):
    """The function that archives the audit log: fed by its stream, signing roots on schedule."""

    alerts_table: str
    audit_log_table: str
    audit_bucket: str
    audit_key_arn: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class TotalsSettings(Settings, frozen=True):
    """The scheduled function that compacts the totals of closed days."""

    totals_table: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class DeliverSettings(Settings, frozen=True):
    """The function that sends webhooks to merchants' endpoints."""

    alerts_table: str
    keys_table: str
    merchants_table: str
    webhooks_table: str
    pii_key_arn: str
    delivery_queue_url: str
    retry_delays_seconds: Annotated[str, Field(pattern=r"^[0-9]{1,7}(,[0-9]{1,7}){0,31}$")] = (
        "5,300,1800,7200,18000,36000,50400"
    )
    """Delays before the second attempt, the third …; the last repeats until the deadline."""
    allow_local_webhooks: bool = False
    """Local stage only: permits webhooks to http on this machine."""


class RetriesSettings(Settings, frozen=True):
    """The scheduled function that queues webhooks that are due."""

    webhooks_table: str
    delivery_queue_url: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10
