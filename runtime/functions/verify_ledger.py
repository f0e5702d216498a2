"""Scheduled function: ledger verification; runs as far as time allows, the next event continues."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.settings import VerifyLedgerSettings
from runtime.verification.books_repository import VerificationReads
from runtime.verification.models import LEDGER_VERIFICATION_FAILED
from runtime.verification.repository import VerificationRepository
from runtime.verification.run import verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies


class VerifyLedgerServices(FunctionServices):
    """Dependencies of functions/verify_ledger.py."""

    def __init__(self, settings: VerifyLedgerSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.deps = LedgerVerificationDependencies(
            verifications=VerificationRepository(self.store),
            books=VerificationReads(self.store),
            outside=self.outside,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
            cut=timedelta(seconds=settings.cut_seconds),
            grace_seconds=settings.patience_seconds,
        )


@cache
def verify_ledger_services() -> VerifyLedgerServices:
    """Build the services from the environment, once."""
    return VerifyLedgerServices(VerifyLedgerSettings.from_environment(os.environ))


def verify(event: Event, context: LambdaContext, services: VerifyLedgerServices) -> dict[str, Any]:
    """Continue the verification; a completed one returns its report."""
    outcome = verify_ledger(services.deps)
    answer = outcome.answer()
    if outcome.report is not None and not outcome.report.holds:
        logger.error(LEDGER_VERIFICATION_FAILED, schedule=event.get("schedule"), **answer)
    else:
        logger.info("ledger verified", schedule=event.get("schedule"), **answer)
    return answer


handler_for = per_environment(verify)
handler = handler_for(verify_ledger_services)
