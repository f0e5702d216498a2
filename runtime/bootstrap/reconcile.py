"""Behind settlement files."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.gateways import clients
from runtime.gateways.settlement_files import SettlementFiles
from runtime.repositories.settlements import SettlementRepository
from runtime.services.reconciliation.file_run import ReconciliationDesk
from runtime.settings import ReconcileSettings


class ReconcileServices(FunctionServices):
    """Behind handlers/reconcile.py."""

    def __init__(self, settings: ReconcileSettings) -> None:
        super().__init__(settings)
        margin = settings.stop_before_timeout_seconds
        self.desk = ReconciliationDesk(
            files=SettlementFiles(
                clients.s3(),
                clients.sqs(),
                settings.settlement_bucket,
                settings.continuation_queue_url,
            ),
            settlements=SettlementRepository(self.store),
            merchants=self.profiles_for(0),
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def reconcile_services() -> ReconcileServices:
    """Built from the environment at the first event."""
    return ReconcileServices(ReconcileSettings.from_environment(os.environ))
