"""The schedule of totals: the rows of closed days are folded into one a day."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.totals import CompactTotalsServices, compact_totals_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.totals_folding import compact_closed_days


def fold(event: Event, context: LambdaContext, services: CompactTotalsServices) -> dict[str, Any]:
    """One run over the days that are closed; its report is the answer."""
    report = compact_closed_days(services.deps)
    logger.info("folded totals", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(fold)
handler = handler_for(compact_totals_services)
