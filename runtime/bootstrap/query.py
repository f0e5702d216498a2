"""Behind every GET."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.gateways.report_files import ReportFiles
from runtime.gateways.signed_links import SignedLinks
from runtime.models.export import Export
from runtime.repositories.accounts import AccountRepository
from runtime.repositories.alerts import AlertRepository
from runtime.repositories.api_keys import ApiKeyRepository
from runtime.repositories.audit import AuditRepository
from runtime.repositories.claims import ClaimRepository
from runtime.repositories.customers import CustomerRepository
from runtime.repositories.entries import EntryRepository
from runtime.repositories.exports import ExportRepository
from runtime.repositories.folding import ShardRepository
from runtime.repositories.merchants import MerchantRepository
from runtime.repositories.payment_lists import PaymentLists
from runtime.repositories.payments import PaymentRepository
from runtime.repositories.processor_events import KeptEventRepository
from runtime.repositories.proofs import VerificationRepository
from runtime.repositories.settlement_files import SettlementFileRepository
from runtime.repositories.settlement_lines import SettlementLineRepository
from runtime.repositories.settlements import SettlementRepository
from runtime.repositories.totals import TotalsRepository
from runtime.repositories.transaction_lists import TransactionLists
from runtime.repositories.transfers import TransferRepository
from runtime.repositories.unsettled import UnsettledRepository
from runtime.repositories.webhooks import WebhookRepository
from runtime.services.account_queries import AccountReads
from runtime.services.alert_queries import AlertReads
from runtime.services.api_keys import ApiKeyReads
from runtime.services.audit_queries import AuditTrail
from runtime.services.balance_queries import BalanceReads
from runtime.services.customers import CustomerReads
from runtime.services.exports.queries import ExportQueries
from runtime.services.idempotency_queries import IdempotencyReads
from runtime.services.kept_event_routes import KeptEventReads
from runtime.services.merchants import MerchantReads
from runtime.services.pages import Cursors
from runtime.services.payment_queries import PaymentReads
from runtime.services.payment_summary import SummaryReads
from runtime.services.reconciliation.exceptions import ExceptionReads
from runtime.services.reconciliation.file_routes import SettlementFileReads
from runtime.services.reconciliation.report import ReportDependencies
from runtime.services.settlement_queries import SettlementReads
from runtime.services.totals_reading import TotalsReader
from runtime.services.transaction_queries import TransactionReads
from runtime.services.transfer_queries import TransferReads
from runtime.services.webhooks import WebhookReads
from runtime.settings import QuerySettings

_CURSOR_SUBJECT = "cursor"


class QueryServices(FunctionServices):
    """Behind handlers/query.py."""

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
        self.proofs = VerificationRepository(self.store)
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
        assert export.object_key is not None, f"{export.id} is completed and has no object"
        name = f"{export.id}-{export.object_key.rpartition('/')[2]}"
        return self._links.download(export.object_key, name)

    def _cursor_key(self) -> bytes:
        return self.key_ring.key_for_writing("index", _CURSOR_SUBJECT)[1]


@cache
def query_services() -> QueryServices:
    """Built from the environment at the first event."""
    return QueryServices(QuerySettings.from_environment(os.environ))
