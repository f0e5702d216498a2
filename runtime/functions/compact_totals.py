"""The schedule of totals: the rows of closed days are folded into one a day."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.reporting.totals.compaction import CompactionDependencies, compact_closed_days
from runtime.reporting.totals.repository import TotalsRepository
from runtime.settings import TotalsSettings


class CompactTotalsServices(FunctionServices):
    """Behind functions/compact_totals.py."""

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


def fold(event: Event, context: LambdaContext, services: CompactTotalsServices) -> dict[str, Any]:
    """One run over the days that are closed; its report is the answer."""
    report = compact_closed_days(services.deps)
    logger.info("folded totals", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(fold)
handler = handler_for(compact_totals_services)
