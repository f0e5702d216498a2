"""Behind the folding of totals."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.repositories.totals import TotalsRepository
from runtime.services.totals_folding import CompactionDependencies
from runtime.settings import TotalsSettings


class CompactTotalsServices(FunctionServices):
    """Behind handlers/totals.py."""

    def __init__(self, settings: TotalsSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.deps = CompactionDependencies(
            totals=TotalsRepository(self.store),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def compact_totals_services() -> CompactTotalsServices:
    """Built from the environment at the first event."""
    return CompactTotalsServices(TotalsSettings.from_environment(os.environ))
