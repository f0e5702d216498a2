"""Dependencies of every GET."""

from __future__ import annotations

import os
from functools import cache

from runtime.access.api_keys import ApiKeyReads
from runtime.access.repository import ApiKeyRepository
from runtime.alerts.queries import AlertReads
from runtime.alerts.repository import AlertRepository
from runtime.audit.queries import AuditTrail
from runtime.audit.repository import AuditRepository
from runtime.core.outside import Outside
from runtime.core.signed_links import SignedLinks
from runtime.customers.customers import CustomerReads
from runtime.customers.repository import CustomerRepository
from runtime.functions.composition.services import FunctionServices
from runtime.http.pagination import Cursors
from runtime.idempotency.queries import IdempotencyReads
from runtime.idempotency.repository import ClaimRepository
from runtime.ledger.accounts.balance_at import BalanceReads
from runtime.ledger.accounts.queries import AccountReads
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.transfers.queries import TransferReads
from runtime.ledger.transfers.repository import TransferRepository
from runtime.merchants.merchants import MerchantReads
from runtime.merchants.repository import MerchantRepository
from runtime.payments.disputes.kept_event_routes import KeptEventReads
from runtime.payments.disputes.repository import KeptEventRepository
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.queries import PaymentReads
from runtime.payments.repository import PaymentRepository
from runtime.reconciliation.exceptions.queries import ExceptionReads
from runtime.reconciliation.files.repository import SettlementFileRepository
from runtime.reconciliation.files.routes import SettlementFileReads
from runtime.reconciliation.reports.bucket import ReportFiles
from runtime.reconciliation.reports.report import ReportDependencies
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.settlements.queries import SettlementReads
from runtime.reconciliation.settlements.repository import SettlementRepository
from runtime.reconciliation.transactions.queries import TransactionReads
from runtime.reconciliation.transactions.repository import TransactionLists
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from runtime.reporting.exports.models import Export
from runtime.reporting.exports.queries import ExportQueries
from runtime.reporting.exports.repository import ExportRepository
from runtime.reporting.summary import SummaryReads
from runtime.reporting.totals.reader import TotalsReader
from runtime.reporting.totals.repository import TotalsRepository
from runtime.settings import QuerySettings
from runtime.verification.repository import VerificationRepository
from runtime.webhooks.deliveries import WebhookReads
from runtime.webhooks.repository import WebhookRepository

_CURSOR_SUBJECT = "cursor"


class QueryServices(FunctionServices):
    """Dependencies of functions/query.py."""

    def __init__(self, settings: QuerySettings, outside: Outside | None = None) -> None:
        super().__init__(
            settings, {"pii": settings.pii_key_arn, "index": settings.index_key_arn}, outside
        )
        cursors = Cursors(self._cursor_key)
        self.merchants = MerchantRepository(self.store)
        self.merchant_reads = MerchantReads(self.merchants, cursors)
        self.customers = CustomerRepository(self.store)
        profiles = self.profiles_for(settings.merchant_cache_seconds)
        self.customer_reads = CustomerReads(self.customers, profiles, self.encryption, cursors)
        accounts, shard_rows = AccountRepository(self.store), ShardRepository(self.store)
        entries = EntryRepository(self.store)
        self.balances = BalanceReads(accounts, shard_rows, entries)
        self.accounts = AccountReads(
            accounts,
            shard_rows,
            entries,
            self.customers,
            profiles,
            cursors,
        )
        self.transfers = TransferReads(TransferRepository(self.store), self.accounts)
        self.payments = PaymentReads(
            PaymentRepository(self.store),
            PaymentLists(self.store),
            profiles,
            self.customers,
            cursors,
        )
        self.summary = SummaryReads(
            PaymentLists(self.store),
            profiles,
            TotalsReader(TotalsRepository(self.store), self.outside.sleep),
        )
        self.transactions = TransactionReads(
            TransactionLists(self.store),
            PaymentRepository(self.store),
            PaymentLists(self.store),
            profiles,
            cursors,
        )
        self.api_keys = ApiKeyReads(ApiKeyRepository(self.store), profiles, cursors)
        self.audit = AuditTrail(AuditRepository(self.store), profiles, cursors)
        self.alerts = AlertReads(AlertRepository(self.store), cursors)
        self.idempotency = IdempotencyReads(
            ClaimRepository(self.store), profiles.index_buckets, cursors
        )
        self.processor_events = KeptEventReads(KeptEventRepository(self.store), cursors)
        self.verifications = VerificationRepository(self.store)
        files, settlements = SettlementFileRepository(self.store), SettlementRepository(self.store)
        self.settlement_files = SettlementFileReads(files, cursors)
        self.settlements = SettlementReads(settlements, cursors)
        lines = SettlementLineRepository(self.store)
        self.exceptions = ExceptionReads(
            lines,
            settlements,
            UnsettledRepository(self.store),
            profiles,
            cursors,
        )
        s3 = self.outside.aws.signing_s3()
        self._links = SignedLinks(s3, settings.export_bucket)
        self.reports = ReportDependencies(
            settlements,
            lines,
            files,
            profiles,
            ReportFiles(s3, settings.export_bucket),
            self._links,
        )
        self.exports = ExportQueries(ExportRepository(self.store), cursors, self._export_link)
        self.webhooks = WebhookReads(WebhookRepository(self.store), profiles, cursors)

    def _export_link(self, export: Export) -> str:
        assert export.object_key is not None, f"{export.id} is completed but has no object"
        name = f"{export.id}-{export.object_key.rpartition('/')[2]}"
        return self._links.download(export.object_key, name)

    def _cursor_key(self) -> bytes:
        return self.key_ring.key_for_writing("index", _CURSOR_SUBJECT)[1]


@cache
def query_services() -> QueryServices:
    """Build the services from the environment, once."""
    return QueryServices(QuerySettings.from_environment(os.environ))
