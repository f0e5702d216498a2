"""Scheduled function: compacts the totals of closed days into one row per day."""

from __future__ import annotations

import os
from functools import cache

from runtime.core.outside import Outside
from runtime.functions.composition.environments import scheduled
from runtime.functions.composition.services import FunctionServices
from runtime.reporting.totals.compaction import (
    CompactionDependencies,
    CompactionReport,
    compact_closed_days,
)
from runtime.reporting.totals.repository import TotalsRepository
from runtime.settings import TotalsSettings


class CompactTotalsServices(FunctionServices):
    """Dependencies of functions/compact_totals.py."""

    def __init__(self, settings: TotalsSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.deps = CompactionDependencies(
            totals=TotalsRepository(self.store),
            outside=self.outside,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def compact_totals_services() -> CompactTotalsServices:
    """Build the services from the environment, once."""
    return CompactTotalsServices(TotalsSettings.from_environment(os.environ))


def compact(services: CompactTotalsServices, _: str) -> CompactionReport:
    """Compact the closed days until time runs out."""
    return compact_closed_days(services.deps)


handler_for = scheduled("totals compacted", compact)
handler = handler_for(compact_totals_services)
