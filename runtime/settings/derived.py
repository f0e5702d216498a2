"""Settings of the functions behind change streams: projections, archive, totals and webhooks."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from runtime.settings.base import Settings
from runtime.settings.table_uses import TableUses, allow, record_run, with_progress

LARGE_TRANSACTION_MINOR: Final = 1_000_000
"""Payments and transfers from this amount on, in minor units, raise an alert."""
VELOCITY_PAYMENTS: Final = 5
"""This many payments of a customer within one minute raise an alert."""
MAX_VELOCITY_PAYMENTS: Final = 100
"""The number of payment ids kept per minute (compliance/repository.py)."""

WebhookDeadline = Annotated[int, Field(ge=60, le=14 * 86_400)]
"""How long a webhook is attempted, in seconds from its creation or redelivery request."""


COMPACTABLE_TOTALS: Final = ("mer_*#*",)
"""Total rows of merchants' index shards. Compacted days and the records that a payment was counted
do not match."""
COMPACTED_TOTALS: Final = ("mer_*",)
"""Total rows of merchants, compacted days among them. The records that a payment was counted do not
match."""

ENDPOINT_ATTRIBUTES: Final = (
    "id",
    "merchant_id",
    "webhook_url",
    "webhook_status",
    "webhook_secret",
    "previous_webhook_secrets",
)
"""Attributes of a merchant with which webhooks are sent to its first endpoint, without the keys of
its processor.
"""

DUE_ATTRIBUTES: Final = (
    "id",
    "version",
    "merchant_id",
    "request_id",
    "status",
    "next_retry",
)
"""Attributes of a webhook with which it is queued; its payload is not among them."""


class ProjectSettings(Settings, frozen=True):
    """The function behind the tables' change streams."""

    TABLE_USES: ClassVar[TableUses] = with_progress(
        {
            "accounts": allow("GetItem", "PutItem", "UpdateItem", stream=True),
            "alerts": allow("PutItem", stream=True),
            "audit_log": allow("GetItem", "PutItem", "Query"),
            "customers": allow(stream=True),
            "entries": allow("BatchGetItem", "GetItem", "PutItem"),
            "exports": allow(stream=True),
            "keys": allow("GetItem", "Query", "PutItem"),
            "limits": allow("BatchGetItem", "UpdateItem"),
            "merchants": allow("GetItem", stream=True),
            "payments": allow(stream=True),
            "settlements": allow(stream=True),
            "totals": allow("BatchGetItem", "PutItem", "UpdateItem"),
            "transactions": allow(stream=True),
            "transfers": allow("BatchGetItem", "GetItem", stream=True),
            "webhooks": allow("PutItem"),
        }
    )

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

    TABLE_USES: ClassVar[TableUses] = with_progress(
        {
            "alerts": allow("PutItem"),
            "audit_log": allow(stream=True),
            "scheduled_runs": record_run("archive"),
        }
    )

    audit_bucket: str
    audit_key_arn: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class TotalsSettings(Settings, frozen=True):
    """The scheduled function that compacts the totals of closed days."""

    TABLE_USES: ClassVar[TableUses] = {
        "scheduled_runs": record_run("totals"),
        "totals": allow(
            "BatchGetItem",
            "GetItem",
            query=("gsi-unfolded",),
            delete=COMPACTABLE_TOTALS,
            update=COMPACTED_TOTALS,
        ),
    }

    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class DeliverSettings(Settings, frozen=True):
    """The function that sends webhooks to merchants' endpoints."""

    TABLE_USES: ClassVar[TableUses] = {
        "alerts": allow("PutItem"),
        "keys": allow("GetItem"),
        "merchants": allow("GetItem", only=ENDPOINT_ATTRIBUTES),
        "webhook_endpoints": allow("GetItem"),
        "webhooks": allow("GetItem", "UpdateItem"),
    }

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

    TABLE_USES: ClassVar[TableUses] = {
        "scheduled_runs": record_run("retries"),
        "webhooks": allow(
            "BatchGetItem", only=DUE_ATTRIBUTES, query=("gsi-retry",), update=("whk_*",)
        ),
    }

    delivery_queue_url: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10
