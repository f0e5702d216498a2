"""Settings of the HTTP API functions."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field

from runtime.settings.base import Settings, parsed_json
from runtime.settings.derived import WebhookDeadline
from runtime.settings.payments import INTENT_LEASE_SECONDS, IntentLeaseSeconds, PaymentTiming
from runtime.settings.table_uses import TableUses, allow

ERASABLE_KEYS: Final = ("pci#cus_*", "pii#cus_*")
"""Data keys of customers. Deleting another subject's key would lose merchants' secrets or stored
responses."""

ENDPOINT_IDS: Final = ("whe_*",)
"""All rows of the table of webhook endpoints, which are deleted when a merchant deletes them."""

CLAIM_ATTRIBUTES: Final = (
    "key",
    "merchant_id",
    "created_at",
    "state",
    "resource_id",
    "status_code",
    "expires_at",
)
"""Attributes of an idempotency record that lists show; the encrypted response is not among them."""


class ProcessSettings(PaymentTiming, frozen=True):
    """The function behind every POST, PATCH and DELETE."""

    TABLE_USES: ClassVar[TableUses] = {
        "accounts": allow("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "ConditionCheckItem"),
        "alerts": allow("PutItem"),
        "api_keys": allow("GetItem", "PutItem", "UpdateItem"),
        "customers": allow("GetItem", "PutItem", "UpdateItem", "ConditionCheckItem"),
        "entries": allow("PutItem"),
        "exports": allow("PutItem", query=("gsi-status",)),
        "idempotency": allow("GetItem", "PutItem"),
        "keys": allow("GetItem", "Query", "PutItem", update=ERASABLE_KEYS),
        "limits": allow("UpdateItem"),
        "merchants": allow("GetItem", "PutItem", "UpdateItem"),
        "payments": allow(
            "GetItem",
            "BatchGetItem",
            "PutItem",
            "UpdateItem",
            query=("gsi-merchant-status", "gsi-open"),
        ),
        "processor_events": allow("GetItem", "PutItem", "UpdateItem"),
        "sandbox_charges": allow("GetItem", "PutItem", "UpdateItem"),
        "settlement_files": allow("PutItem"),
        "settlement_lines": allow("GetItem", "UpdateItem"),
        "settlements": allow("BatchGetItem", "UpdateItem"),
        "transactions": allow(
            "GetItem", "BatchGetItem", "PutItem", "UpdateItem", query=("gsi-open", "gsi-processor")
        ),
        "transfers": allow("GetItem", "PutItem", "UpdateItem"),
        "webhook_endpoints": allow("GetItem", "PutItem", "UpdateItem", delete=ENDPOINT_IDS),
        "webhooks": allow(
            "GetItem", "BatchGetItem", "PutItem", "UpdateItem", query=("gsi-undelivered",)
        ),
    }

    pii_key_arn: str
    pci_key_arn: str
    index_key_arn: str
    delivery_queue_url: str
    settlement_bucket: str
    webhook_deadline_seconds: WebhookDeadline = 3 * 86_400
    allow_local_webhooks: bool = False
    """Local stage only: permits webhooks to http on this machine."""
    api_address: str | None = None
    """Local stage only: where its gateway serves the API, with {host} and {api_id}."""
    error_types: str | None = None
    """What `type` of a problem begins with, as `ERROR_TYPES` of runtime/http/responses.py."""


class QuerySettings(Settings, frozen=True):
    """The function behind every GET."""

    TABLE_USES: ClassVar[TableUses] = {
        "accounts": allow(
            "GetItem",
            "BatchGetItem",
            query=("customer-index", "number-index", "status-index"),
        ),
        "alerts": allow("BatchGetItem", "PutItem", query=("gsi-everybody", "gsi-merchant")),
        "api_keys": allow("BatchGetItem", query=("gsi-merchant",)),
        "audit_log": allow(
            "BatchGetItem",
            "Query",
            query=("action-index", "gsi-merchant", "gsi-request", "user-index"),
        ),
        "customers": allow("GetItem", "BatchGetItem", query=("gsi-email", "gsi-merchant")),
        "entries": allow("Query"),
        "exports": allow("GetItem", "BatchGetItem", query=("gsi-merchant", "gsi-status")),
        "idempotency": allow("BatchGetItem", query=("gsi-merchant",), only=CLAIM_ATTRIBUTES),
        "keys": allow("GetItem", "Query", "PutItem"),
        "merchants": allow("GetItem", "BatchGetItem", query=("gsi-email", "gsi-list")),
        "payments": allow(
            "GetItem",
            "BatchGetItem",
            query=(
                "gsi-merchant",
                "gsi-merchant-status",
                "gsi-customer",
                "gsi-idempotency",
                "gsi-reference",
                "gsi-open",
            ),
        ),
        "processor_events": allow("BatchGetItem", query=("gsi-merchant", "gsi-status")),
        "proofs": allow("GetItem"),
        "sandbox_charges": allow("GetItem"),
        "scheduled_runs": allow("BatchGetItem"),
        "settlement_files": allow("GetItem", "BatchGetItem", query=("gsi-merchant", "gsi-status")),
        "settlement_lines": allow(
            "BatchGetItem", "Query", query=("gsi-exception", "gsi-transaction")
        ),
        "settlements": allow("GetItem", "BatchGetItem", query=("gsi-merchant",)),
        "stream_progress": allow("BatchGetItem"),
        "totals": allow("GetItem", "Query"),
        "transactions": allow(
            "GetItem",
            "BatchGetItem",
            query=("gsi-merchant", "gsi-processor", "gsi-unsettled"),
        ),
        "transfers": allow(
            "GetItem", "BatchGetItem", query=("customer-index", "merchant-index", "status-index")
        ),
        "webhook_endpoints": allow("GetItem", "BatchGetItem", query=("gsi-merchant",)),
        "webhooks": allow("GetItem", "BatchGetItem", query=("gsi-merchant",)),
    }

    export_bucket: str
    pii_key_arn: str
    index_key_arn: str
    intent_lease_seconds: IntentLeaseSeconds = INTENT_LEASE_SECONDS
    merchant_cache_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    schedules: Annotated[Mapping[str, int], BeforeValidator(parsed_json)] = {}
    """Minutes between two runs, of the schedules whose runs are recorded."""
    streams: Annotated[Mapping[str, int], BeforeValidator(parsed_json)] = {}
    """Seconds for which a batch waits to fill, of the tables whose change streams are consumed."""
    dead_letter_queues: str = ""
    """What the dead letters are of, separated by commas."""
    dead_letter_queue_url: str = ""
    """URL of a dead-letter queue, with {name} for what its messages are of."""
    error_types: str | None = None
    """As of `ProcessSettings`."""
