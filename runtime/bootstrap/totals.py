"""Behind the folding of totals."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.repositories.totals import TotalsRepository
from runtime.services.totals_folding import TotalsDesk
from runtime.settings import TotalsSettings


class TotalsServices(FunctionServices):
    """Behind handlers/totals.py."""

    def __init__(self, settings: TotalsSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.desk = TotalsDesk(
            totals=TotalsRepository(self.store),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def totals_services() -> TotalsServices:
    """Built from the environment at the first event."""
    return TotalsServices(TotalsSettings.from_environment(os.environ))
