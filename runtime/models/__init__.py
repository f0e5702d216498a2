"""What is stored: one module per aggregate, one table per model.

CDK, the test engines, the local stack and the documentation loop over `ALL_TABLES`.
"""

from __future__ import annotations

from typing import Final

from runtime.models.account import Account
from runtime.models.alert import Alert
from runtime.models.api_key import ApiKey
from runtime.models.audit import AuditRow
from runtime.models.customer import Customer
from runtime.models.data_key import DataKey
from runtime.models.entry import Entry
from runtime.models.export import Export
from runtime.models.idempotency import IdempotencyRecord
from runtime.models.limit import LimitCounter
from runtime.models.merchant import Merchant
from runtime.models.payment import Payment
from runtime.models.processor_event import KeptEvent
from runtime.models.proof import ProofRow
from runtime.models.sandbox_charge import SandboxCharge
from runtime.models.settlement import Settlement, SettlementIdentity, SettlementLine
from runtime.models.settlement_file import SettlementChunk, SettlementFile
from runtime.models.total import Total
from runtime.models.transaction import Transaction
from runtime.models.transfer import Transfer
from runtime.models.webhook import Webhook
from runtime.schema import TableSchema

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
        KeptEvent,
        AuditRow,
        Export,
        Alert,
        Total,
        ProofRow,
        LimitCounter,
        DataKey,
        ApiKey,
        SandboxCharge,
    )
)
