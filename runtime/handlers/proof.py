"""The proof's schedule: read the books as far as time allows; the next event goes on."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.proof import VerifyLedgerServices, verify_ledger_services
from runtime.handlers.environments import Event, per_environment
from runtime.models.proof import BOOKS_CONTRADICT
from runtime.observability import logger
from runtime.services.proof import verify_ledger


def verify(event: Event, context: LambdaContext, services: VerifyLedgerServices) -> dict[str, Any]:
    """One invocation's share of a run; its report, once completed, is the answer."""
    outcome = verify_ledger(services.deps)
    answer = outcome.answer()
    if outcome.report is not None and not outcome.report.holds:
        logger.error(BOOKS_CONTRADICT, schedule=event.get("schedule"), **answer)
    else:
        logger.info("proved", schedule=event.get("schedule"), **answer)
    return answer


handler_for = per_environment(verify)
handler = handler_for(verify_ledger_services)
