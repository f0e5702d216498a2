"""The function behind the tables' change streams; see functions/composition/projector.py."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.alerts.repository import AlertRepository
from runtime.audit.projection.balance_attribution import BalanceAttribution
from runtime.audit.projection.projection import AuditProjection
from runtime.audit.projection.rows import AuditRows
from runtime.audit.repository import AuditRepository
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.alert_projections import alert_projections
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.projector import Projector
from runtime.functions.composition.services import FunctionServices
from runtime.ledger.accounts.repository import AccountRepository, is_number_guard
from runtime.ledger.entries.projection import EntriesProjection
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.transfers.repository import TransferRepository
from runtime.merchants.repository import MerchantRepository
from runtime.reporting.exports.orders import ExportOrders
from runtime.reporting.exports.queue import ExportQueue
from runtime.reporting.totals.projection import TotalsProjection
from runtime.reporting.totals.repository import TotalsRepository
from runtime.settings import ProjectSettings
from runtime.streams.dead_letters import FailedBatches
from runtime.streams.records import StreamRecord, batch_answer, requests_of
from runtime.webhooks.delivery_queue import DeliveryQueue
from runtime.webhooks.projection import WebhookProjection

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class ProjectServices(FunctionServices):
    """Dependencies of functions/project.py."""

    def __init__(self, settings: ProjectSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn}, outside)
        self._settings = settings
        self._parking = FailedBatches(self.outside.aws.s3(), settings.failed_batches_bucket)
        self._profiles = self.profiles_for(settings.merchant_cache_seconds)
        webhooks = self._webhooks()
        alerts = alert_projections(self, settings)
        self.projector = Projector(
            codec=self.store.codec,
            projections={
                "accounts": (EntriesProjection(self.store), webhooks, *alerts["accounts"]),
                "alerts": (webhooks, *alerts["alerts"]),
                "customers": (webhooks, *alerts["customers"]),
                "exports": (webhooks, self._export_orders()),
                "payments": (webhooks, self._totals(), *alerts["payments"]),
                "settlements": (webhooks,),
                "transactions": (webhooks,),
                "transfers": (self._hot_accounts(), webhooks, *alerts["transfers"]),
            },
            ignores=is_number_guard,
            parking=self._parking,
            images=(self._audit(),),
        )

    def _hot_accounts(self) -> ShardProjection:
        return ShardProjection(
            shard_rows=ShardRepository(self.store),
            accounts=AccountRepository(self.store),
            outside=self.outside,
            request_id=lambda: self.run_id,
            parking=self._parking,
        )

    def _webhooks(self) -> WebhookProjection:
        return WebhookProjection(
            store=self.store,
            merchants=MerchantRepository(self.store),
            queue=DeliveryQueue(self.outside.aws.sqs(), self._settings.delivery_queue_url),
            outside=self.outside,
            request_id=lambda: self.run_id,
            deadline=timedelta(seconds=self._settings.webhook_deadline_seconds),
            parking=self._parking,
            decryption_failed=self.operational_alerts.decryption_failed,
        )

    def _export_orders(self) -> ExportOrders:
        return ExportOrders(ExportQueue(self.outside.aws.sqs(), self._settings.export_queue_url))

    def _totals(self) -> TotalsProjection:
        return TotalsProjection(TotalsRepository(self.store), self.outside)

    def _audit(self) -> AuditProjection:
        return AuditProjection(
            audit=AuditRepository(self.store),
            rows=AuditRows(self._profiles.index_buckets),
            deltas=BalanceAttribution(TransferRepository(self.store), EntryRepository(self.store)),
            parking=self._parking,
            alerts=AlertRepository(self.store),
            threads=self.outside.threads,
        )


@cache
def project_services() -> ProjectServices:
    """Build the services from the environment, once."""
    return ProjectServices(ProjectSettings.from_environment(os.environ))


def project(event: Event, context: LambdaContext, services: ProjectServices) -> dict[str, Any]:
    """Project a batch of records. Returns the records to retry."""
    records = [StreamRecord.of(each, services.names_by_table) for each in event["Records"]]
    failed = services.stream_progress.noted(event, records, services.projector.apply)
    logger.info(
        "projected",
        records=dict(Counter(record.table for record in records)),
        request_ids=requests_of(records),
        failed=len(failed),
    )
    return batch_answer(records, failed)


handler_for = per_environment(project)
handler = handler_for(project_services)
