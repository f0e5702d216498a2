"""Dependencies of every GET."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING

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
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.processing_list import ProcessingList
from runtime.payments.queries import PaymentReads
from runtime.payments.repository import PaymentRepository
from runtime.reconciliation.exceptions.queries import ExceptionReads
from runtime.reconciliation.files.repository import SettlementFileRepository
from runtime.reconciliation.files.routes import SettlementFileReads
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
from runtime.webhooks.endpoints.dependencies import EndpointReads
from runtime.webhooks.endpoints.repository import EndpointRepository
from runtime.webhooks.endpoints.stored import StoredEndpoints
from runtime.webhooks.repository import WebhookRepository

if TYPE_CHECKING:
    from runtime.operations.overview import OperationsReads
    from runtime.payments.disputes.kept_event_routes import KeptEventReads
    from runtime.reconciliation.reports.report import ReportDependencies
    from runtime.timeline.timeline import TimelineReads

_CURSOR_SUBJECT = "cursor"


class QueryServices(FunctionServices):
    """Dependencies of functions/query.py."""

    def __init__(self, settings: QuerySettings, outside: Outside | None = None) -> None:
        super().__init__(
            settings, {"pii": settings.pii_key_arn, "index": settings.index_key_arn}, outside
        )
        self._settings = settings
        store, cursors = self.store, Cursors(self._cursor_key)
        profiles = self.profiles_for(settings.merchant_cache_seconds)
        self.merchants, self.customers = MerchantRepository(store), CustomerRepository(store)
        self.merchant_reads = MerchantReads(self.merchants, cursors)
        self.customer_reads = CustomerReads(self.customers, profiles, self.encryption, cursors)
        self.api_keys = ApiKeyReads(ApiKeyRepository(store), profiles, cursors)

        accounts, shards = AccountRepository(store), ShardRepository(store)
        entries = EntryRepository(store)
        self.balances = BalanceReads(accounts, shards, entries)
        self.accounts = AccountReads(accounts, shards, entries, self.customers, profiles, cursors)
        self.transfers = TransferReads(TransferRepository(store), self.accounts)

        payments, lists = PaymentRepository(store), PaymentLists(store)
        processing = ProcessingList(store, timedelta(seconds=settings.intent_lease_seconds))
        self.payments = PaymentReads(payments, lists, processing, profiles, self.customers, cursors)
        totals = TotalsReader(TotalsRepository(store), self.outside.sleep)
        self.summary = SummaryReads(lists, profiles, totals)
        transactions = TransactionLists(store)
        self.transactions = TransactionReads(transactions, payments, lists, profiles, cursors)
        self._cursors = cursors

        files, settlements = SettlementFileRepository(store), SettlementRepository(store)
        lines, unsettled = SettlementLineRepository(store), UnsettledRepository(store)
        self.settlement_files = SettlementFileReads(files, cursors)
        self.settlements = SettlementReads(settlements, cursors)
        self.exceptions = ExceptionReads(lines, settlements, unsettled, profiles, cursors)

        self._profiles, self._export_bucket = profiles, settings.export_bucket
        self._links = SignedLinks(self.outside.aws.signing_s3(), self._export_bucket)
        self.exports = ExportQueries(ExportRepository(store), cursors, self._export_link)

        webhooks = WebhookRepository(store)
        self.webhooks = WebhookReads(webhooks, profiles, cursors)
        self.webhook_endpoints = EndpointReads(
            StoredEndpoints(EndpointRepository(store), MerchantRepository(store)),
            webhooks,
            cursors,
        )
        self.alerts = AlertReads(AlertRepository(store), cursors)
        self.audit = AuditTrail(AuditRepository(store), profiles, cursors)
        self.verifications = VerificationRepository(store)
        claims = ClaimRepository(store)
        self.idempotency = IdempotencyReads(claims, profiles.index_buckets, cursors)

    @cached_property
    def processor_events(self) -> KeptEventReads:
        """Dependencies of the list of kept events, loaded with the first of them."""
        from runtime.payments.disputes.kept_event_routes import KeptEventReads  # noqa: PLC0415
        from runtime.payments.disputes.repository import KeptEventRepository  # noqa: PLC0415

        return KeptEventReads(KeptEventRepository(self.store), self._cursors)

    @cached_property
    def operations(self) -> OperationsReads:
        """Dependencies of the overview for operators, loaded with the first of them."""
        from runtime.operations.dead_letters import DeadLetterQueues  # noqa: PLC0415
        from runtime.operations.overview import OperationsReads  # noqa: PLC0415
        from runtime.operations.repository import (  # noqa: PLC0415
            ScheduledRunRepository,
            StreamProgressRepository,
        )

        settings = self._settings
        names = [name for name in settings.dead_letter_queues.split(",") if name]
        return OperationsReads(
            runs=ScheduledRunRepository(self.store),
            progress=StreamProgressRepository(self.store),
            queues=DeadLetterQueues(names, settings.dead_letter_queue_url, self.outside),
            schedules=settings.schedules,
            streams=settings.streams,
            outside=self.outside,
        )

    @cached_property
    def timeline(self) -> TimelineReads:
        """Dependencies of timelines, loaded with the first of them."""
        from runtime.timeline.timeline import TimelineReads  # noqa: PLC0415

        return TimelineReads(
            payments=self.payments.payments,
            transfers=self.transfers.transfers,
            lines=self.transactions.transactions,
            audit=self.audit.audit,
            merchants=self.merchants,
            webhooks=self.webhooks.webhooks,
            outside=self.outside,
        )

    @cached_property
    def reports(self) -> ReportDependencies:
        """Dependencies of settlement reports, loaded with the first of them."""
        from runtime.reconciliation.reports.bucket import ReportFiles  # noqa: PLC0415
        from runtime.reconciliation.reports.report import ReportDependencies  # noqa: PLC0415

        return ReportDependencies(
            SettlementRepository(self.store),
            SettlementLineRepository(self.store),
            SettlementFileRepository(self.store),
            self._profiles,
            ReportFiles(self.outside.aws.signing_s3(), self._export_bucket),
            self._links,
        )

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
