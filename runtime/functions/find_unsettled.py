"""Scheduled daily: finds captures and refunds that are missing from all settlement files."""

from __future__ import annotations

import os
from functools import cache

from runtime.core.log_messages import UNSETTLED_SEARCHED
from runtime.core.outside import Outside
from runtime.functions.composition.environments import scheduled
from runtime.functions.composition.services import FunctionServices
from runtime.merchants.repository import MerchantRepository
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from runtime.reconciliation.unsettled.sweep import SweepDependencies, SweepReport, sweep_missing
from runtime.settings import MissingSettings


class MissingServices(FunctionServices):
    """Dependencies of functions/find_unsettled.py."""

    def __init__(self, settings: MissingSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.dependencies = SweepDependencies(
            unsettled=UnsettledRepository(self.store),
            merchants=MerchantRepository(self.store),
            lines=SettlementLineRepository(self.store),
            outside=self.outside,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def missing_services() -> MissingServices:
    """Build the services from the environment, once."""
    return MissingServices(MissingSettings.from_environment(os.environ))


def find_unsettled(services: MissingServices, request_id: str) -> SweepReport:
    """Run until time runs out; the next run continues the round."""
    return sweep_missing(services.dependencies, request_id)


handler_for = scheduled(UNSETTLED_SEARCHED, find_unsettled)
handler = handler_for(missing_services)
