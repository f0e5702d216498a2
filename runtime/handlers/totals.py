"""The schedule of totals: the rows of closed days are folded into one a day."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.totals import totals_services
from runtime.observability import logger
from runtime.services.totals_folding import fold_closed_days


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One run over the days that are closed; its report is the answer."""
    services = totals_services()
    services.begin(context)
    report = fold_closed_days(services.desk)
    logger.info("folded totals", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)
