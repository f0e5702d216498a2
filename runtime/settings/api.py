"""Settings of the HTTP API functions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Settings
from runtime.settings.derived import WebhookDeadline
from runtime.settings.payments import PaymentTiming


class ProcessSettings(PaymentTiming, frozen=True):
    """The function behind every POST, PATCH and DELETE."""

    accounts_table: str
    alerts_table: str
    api_keys_table: str
    customers_table: str
    entries_table: str
    exports_table: str
    idempotency_table: str
    keys_table: str
    limits_table: str
    merchants_table: str
    payments_table: str
    processor_events_table: str
    sandbox_charges_table: str
    settlement_files_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    transfers_table: str
    webhooks_table: str
    pii_key_arn: str
    pci_key_arn: str
    index_key_arn: str
    delivery_queue_url: str
    settlement_bucket: str
    webhook_deadline_seconds: WebhookDeadline = 3 * 86_400
    allow_local_webhooks: bool = False
    """Local stage only: permits webhooks to http on this machine."""


class QuerySettings(Settings, frozen=True):
    """The function behind every GET."""

    accounts_table: str
    alerts_table: str
    api_keys_table: str
    audit_log_table: str
    customers_table: str
    entries_table: str
    idempotency_table: str
    exports_table: str
    keys_table: str
    merchants_table: str
    payments_table: str
    processor_events_table: str
    proofs_table: str
    settlement_files_table: str
    settlement_lines_table: str
    settlements_table: str
    totals_table: str
    transactions_table: str
    transfers_table: str
    webhooks_table: str
    export_bucket: str
    pii_key_arn: str
    index_key_arn: str
    merchant_cache_seconds: Annotated[int, Field(ge=0, le=300)] = 5
