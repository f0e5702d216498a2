"""The proof's schedule: read the books as far as time allows; the next event goes on."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.proof import proof_services
from runtime.models.proof import BOOKS_CONTRADICT
from runtime.observability import logger
from runtime.services.proof import prove


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One invocation's share of a run; its report, once completed, is the answer."""
    services = proof_services()
    services.begin(context)
    outcome = prove(services.desk)
    answer = outcome.answer()
    if outcome.report is not None and not outcome.report.holds:
        logger.error(BOOKS_CONTRADICT, schedule=event.get("schedule"), **answer)
    else:
        logger.info("proved", schedule=event.get("schedule"), **answer)
    return answer
