"""All tables: one model per table.

CDK, the test engines, the local stack and the documentation use `ALL_TABLES`.
"""

from __future__ import annotations

from typing import Final

from runtime.access.models import ApiKey
from runtime.alerts.models import Alert
from runtime.audit.models import AuditRow
from runtime.customers.models import Customer
from runtime.dynamodb.schema import TableSchema
from runtime.encryption.models import DataKey
from runtime.idempotency.models import IdempotencyRecord
from runtime.ledger.accounts.models import Account
from runtime.ledger.entries.models import Entry
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import Merchant, WebhookEndpoint
from runtime.operations.models import ScheduledRun, StreamProgress
from runtime.payments.disputes.models import KeptEvent
from runtime.payments.models import Payment
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.rate_limits.models import LimitCounter
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.files.models import SettlementChunk, SettlementFile
from runtime.reconciliation.settlements.models import Settlement, SettlementIdentity, SettlementLine
from runtime.reporting.exports.models import Export
from runtime.reporting.totals.models import Total
from runtime.verification.models import VerificationRow
from runtime.webhooks.models import Webhook

ALL_TABLES: Final[tuple[TableSchema, ...]] = tuple(
    TableSchema.of(model)
    for model in (
        Account,
        Transfer,
        Entry,
        Payment,
        Transaction,
        Customer,
        Merchant,
        IdempotencyRecord,
        Settlement,
        SettlementLine,
        SettlementIdentity,
        SettlementFile,
        SettlementChunk,
        Webhook,
        WebhookEndpoint,
        KeptEvent,
        AuditRow,
        Export,
        Alert,
        Total,
        VerificationRow,
        ScheduledRun,
        StreamProgress,
        LimitCounter,
        DataKey,
        ApiKey,
        SandboxCharge,
    )
)

RESTORE_NAME: Final = r"^[a-z0-9]{1,12}$"
"""What a restore is called: it ends names of tables and of resources in templates."""


def restored_table_name(stage: str, table: str, restore: str) -> str:
    """The physical name of a table that the restore called `restore` made."""
    return f"payments-{stage}-{table}-{restore}"
