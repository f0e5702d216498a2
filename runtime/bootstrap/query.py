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
from runtime.repositories.folding import FoldRepository
from runtime.repositories.merchants import MerchantRepository
from runtime.repositories.payment_lists import PaymentLists
from runtime.repositories.payments import PaymentRepository
from runtime.repositories.processor_events import KeptEventRepository
from runtime.repositories.proofs import ProofRepository
from runtime.repositories.settlement_files import SettlementFileRepository
from runtime.repositories.settlement_lines import SettlementLineRepository
from runtime.repositories.settlements import SettlementRepository
from runtime.repositories.totals import TotalsRepository
from runtime.repositories.transaction_lists import TransactionLists
from runtime.repositories.transfers import TransferRepository
from runtime.repositories.unsettled import UnsettledRepository
from runtime.repositories.webhooks import WebhookRepository
from runtime.services.account_queries import AccountArchive
from runtime.services.alert_queries import AlertArchive
from runtime.services.api_keys import ApiKeyArchive
from runtime.services.audit_queries import AuditTrail
from runtime.services.balance_queries import BalanceReads
from runtime.services.customers import CustomerArchive
from runtime.services.exports.queries import ExportQueries
from runtime.services.idempotency_queries import IdempotencyReads
from runtime.services.kept_event_routes import KeptEventReads
from runtime.services.merchants import MerchantReads
from runtime.services.pages import Cursors
from runtime.services.payment_queries import PaymentArchive
from runtime.services.payment_summary import SummaryReads
from runtime.services.reconciliation.exceptions import ExceptionReads
from runtime.services.reconciliation.file_routes import SettlementFileReads
from runtime.services.reconciliation.report import ReportDependencies
from runtime.services.settlement_queries import SettlementArchive
from runtime.services.totals_reading import TotalsReader
from runtime.services.transaction_queries import TransactionReads
from runtime.services.transfer_queries import TransferArchive
from runtime.services.webhooks import WebhookArchive
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
        self.customer_archive = CustomerArchive(self.customers, profiles, self.encryption, cursors)
        accounts, folds = AccountRepository(self.store), FoldRepository(self.store)
        entries = EntryRepository(self.store)
        self.balances = BalanceReads(accounts, folds, entries)
        self.accounts = AccountArchive(
            accounts,
            folds,
            entries,
            self.customers,
            profiles,
            cursors,
        )
        self.transfers = TransferArchive(TransferRepository(self.store), self.accounts)
        self.payments = PaymentArchive(
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
        self.api_keys = ApiKeyArchive(ApiKeyRepository(self.store), profiles, cursors)
        self.audit = AuditTrail(AuditRepository(self.store), profiles, cursors)
        self.alerts = AlertArchive(AlertRepository(self.store), cursors)
        self.idempotency = IdempotencyReads(
            ClaimRepository(self.store), profiles.index_buckets, cursors
        )
        self.processor_events = KeptEventReads(KeptEventRepository(self.store), cursors)
        self.proofs = ProofRepository(self.store)
        files, settlements = SettlementFileRepository(self.store), SettlementRepository(self.store)
        self.settlement_files = SettlementFileReads(files, cursors)
        self.settlements = SettlementArchive(settlements, cursors)
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
        self.webhooks = WebhookArchive(WebhookRepository(self.store), profiles, cursors)

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
