"""The daily schedule that looks for captures and refunds that no settlement file has named."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.missing import missing_services
from runtime.observability import logger
from runtime.services.reconciliation.unsettled import sweep_missing


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One run, which may be a part of a round; its report is the answer."""
    services = missing_services()
    services.begin(context)
    report = sweep_missing(services.dependencies, context.aws_request_id)
    logger.info("swept", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)
