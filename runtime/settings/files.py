"""Settings of the functions that read settlement files and write exports."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from runtime.settings.base import Settings
from runtime.settings.payments import INTENT_LEASE_SECONDS, IntentLeaseSeconds
from runtime.settings.table_uses import TableUses, allow, record_run

PROFILE_ATTRIBUTES: Final = (
    "version",
    "created_at",
    "updated_at",
    "merchant_id",
    "changed_by",
    "request_id",
    "ip_address",
    "user_agent",
    "cause",
    "id",
    "list_bucket",
    "email",
    "name",
    "status",
    "processor",
    "processor_account",
    "webhook_url",
    "webhook_events",
    "webhook_description",
    "webhook_status",
    "webhook_endpoints",
    "features",
    "rate_limits",
    "reconciliation",
    "index_buckets",
)
"""Attributes of a merchant that are not encrypted: those of `MerchantProfile`."""


class ReconcileSettings(Settings, frozen=True):
    """The function that reads settlement files."""

    TABLE_USES: ClassVar[TableUses] = {
        "accounts": allow("UpdateItem"),
        "alerts": allow("PutItem"),
        "merchants": allow("GetItem"),
        "payments": allow("BatchGetItem", "UpdateItem"),
        "settlement_chunks": allow("BatchGetItem", "GetItem", "PutItem", "UpdateItem"),
        "settlement_files": allow("ConditionCheckItem", "GetItem", "PutItem", "UpdateItem"),
        "settlement_identities": allow("BatchGetItem", "PutItem", "UpdateItem"),
        "settlement_lines": allow(
            "BatchGetItem", "PutItem", "UpdateItem", query=("gsi-transaction",)
        ),
        "settlements": allow("BatchGetItem", "GetItem", "PutItem", "UpdateItem"),
        "transactions": allow("BatchGetItem", "UpdateItem", query=("gsi-processor",)),
        "transfers": allow("PutItem"),
    }

    settlement_bucket: str
    settlement_queue_url: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class MissingSettings(Settings, frozen=True):
    """The scheduled function that finds transactions missing from settlement files."""

    TABLE_USES: ClassVar[TableUses] = {
        "merchants": allow("GetItem", "Scan"),
        "scheduled_runs": record_run("missing"),
        "settlement_chunks": allow("GetItem", "PutItem"),
        "settlement_lines": allow("PutItem", query=("gsi-exception",)),
        "settlements": allow("GetItem", "PutItem", "UpdateItem"),
        "transactions": allow("BatchGetItem", "UpdateItem", query=("gsi-unsettled",)),
    }

    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class ExportSettings(Settings, frozen=True):
    """The function that writes exports."""

    TABLE_USES: ClassVar[TableUses] = {
        "accounts": allow("GetItem", "BatchGetItem", query=("status-index",)),
        "audit_log": allow("BatchGetItem", "Query", query=("gsi-merchant",)),
        "entries": allow("Query"),
        "exports": allow("GetItem", "UpdateItem"),
        "merchants": allow("GetItem", only=PROFILE_ATTRIBUTES),
        "payments": allow(
            "GetItem",
            "BatchGetItem",
            query=(
                "gsi-customer",
                "gsi-merchant",
                "gsi-merchant-status",
                "gsi-open",
                "gsi-reference",
            ),
        ),
        "settlement_lines": allow("Query"),
        "settlements": allow("GetItem", query=("gsi-merchant",)),
        "transactions": allow("GetItem", "BatchGetItem", query=("gsi-processor",)),
        "transfers": allow(
            "GetItem", "BatchGetItem", query=("customer-index", "merchant-index", "status-index")
        ),
    }

    export_bucket: str
    export_queue_url: str
    intent_lease_seconds: IntentLeaseSeconds = INTENT_LEASE_SECONDS
    settle_seconds: Annotated[int, Field(ge=0, le=600)] = 60
    """How long to wait before an export reads: earlier writes are then committed and projected."""
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
