"""Behind the tables' change streams."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from runtime.bootstrap.alerts import alert_projections
from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.gateways.delivery_queue import DeliveryQueue
from runtime.gateways.export_queue import ExportQueue
from runtime.gateways.failed_batches import FailedBatches
from runtime.repositories.accounts import AccountRepository, is_number_guard
from runtime.repositories.alerts import AlertRepository
from runtime.repositories.audit import AuditRepository
from runtime.repositories.entries import EntryRepository
from runtime.repositories.folding import ShardRepository
from runtime.repositories.totals import TotalsRepository
from runtime.repositories.transfers import TransferRepository
from runtime.services.account_deltas import BalanceAttribution
from runtime.services.audit_projection import AuditProjection
from runtime.services.audit_rows import AuditRows
from runtime.services.entries_projection import EntriesProjection
from runtime.services.exports.orders import ExportOrders
from runtime.services.folding_projection import ShardProjection
from runtime.services.projector import Projector
from runtime.services.totals_projection import TotalsProjection
from runtime.services.webhook_projection import WebhookProjection
from runtime.settings import ProjectSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class ProjectServices(FunctionServices):
    """Behind handlers/project.py."""

    def __init__(self, settings: ProjectSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn}, outside)
        self._settings = settings
        self._request_id = ""
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
                "transfers": (self._folding(), webhooks, *alerts["transfers"]),
            },
            stands_aside=is_number_guard,
            parking=self._parking,
            images=(self._audit(),),
        )

    def _folding(self) -> ShardProjection:
        return ShardProjection(
            shard_rows=ShardRepository(self.store),
            accounts=AccountRepository(self.store),
            clock=self.outside.now,
            request_id=lambda: self._request_id,
            parking=self._parking,
        )

    def _webhooks(self) -> WebhookProjection:
        return WebhookProjection(
            store=self.store,
            merchants=self._profiles,
            queue=DeliveryQueue(self.outside.aws.sqs(), self._settings.delivery_queue_url),
            outside=self.outside,
            request_id=lambda: self._request_id,
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

    def begin(self, context: LambdaContext) -> None:
        """Start the invocation's clock, and remember its id for what it changes."""
        super().begin(context)
        self._request_id = context.aws_request_id


@cache
def project_services() -> ProjectServices:
    """Built from the environment at the first event."""
    return ProjectServices(ProjectSettings.from_environment(os.environ))
