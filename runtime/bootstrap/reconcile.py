"""Behind settlement files."""

from __future__ import annotations

import os
from functools import cache, partial

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.gateways.settlement_files import SettlementObjects
from runtime.gateways.settlement_queue import SettlementQueue
from runtime.repositories.alerts import AlertRepository
from runtime.repositories.settlement_chunks import SettlementChunkRepository
from runtime.services.reconciliation.batch import BatchDependencies, record_batch
from runtime.services.reconciliation.dependencies import ReconciliationDependencies
from runtime.settings import ReconcileSettings


class ReconcileServices(FunctionServices):
    """Behind handlers/reconcile.py."""

    def __init__(self, settings: ReconcileSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.reconciliation = ReconciliationDependencies(
            objects=SettlementObjects(self.outside.aws.s3(), settings.settlement_bucket),
            queue=SettlementQueue(self.outside.aws.sqs(), settings.settlement_queue_url),
            chunks=SettlementChunkRepository(self.store),
            merchants=self.profiles_for(0),
            alerts=AlertRepository(self.store),
            record=partial(record_batch, dependencies=BatchDependencies(self.store, self.outside)),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def reconcile_services() -> ReconcileServices:
    """Built from the environment at the first event."""
    return ReconcileServices(ReconcileSettings.from_environment(os.environ))
