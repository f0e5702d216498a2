"""Scheduled function: ledger verification, incremental or full.

A run goes as far as time allows, and the next event continues it.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.audit.archive.bucket import AuditArchive
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment, recorded
from runtime.functions.composition.services import FunctionServices
from runtime.settings import VerifyLedgerSettings
from runtime.verification.accounts.checkpoints import Checkpoints
from runtime.verification.books_repository import VerificationReads
from runtime.verification.changes.feed import ArchiveFeed
from runtime.verification.models import LEDGER_VERIFICATION_FAILED
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies


class VerifyLedgerServices(FunctionServices):
    """Dependencies of functions/verify_ledger.py."""

    def __init__(self, settings: VerifyLedgerSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.deps = LedgerVerificationDependencies(
            verifications=VerificationRepository(self.store),
            books=VerificationReads(self.store),
            changes=ArchiveFeed(AuditArchive(self.outside.aws.s3(), settings.audit_bucket)),
            checkpoints=Checkpoints(self.store),
            outside=self.outside,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
            cut=timedelta(seconds=settings.cut_seconds),
            full_every=timedelta(days=settings.full_days),
            grace_seconds=settings.patience_seconds,
        )


@cache
def verify_ledger_services() -> VerifyLedgerServices:
    """Build the services from the environment, once."""
    return VerifyLedgerServices(VerifyLedgerSettings.from_environment(os.environ))


def verify(event: Event, context: LambdaContext, services: VerifyLedgerServices) -> dict[str, Any]:
    """Continue the verification; a completed one returns its report.

    An event with `kind` (`full` or `incremental`) begins a run of that kind. Raises ValueError for
    another value.
    """
    kind = event.get("kind")
    outcome = verify_ledger(services.deps, kind=None if kind is None else RunKind(kind))
    answer = outcome.answer()
    if outcome.report is not None and not outcome.report.holds:
        logger.error(LEDGER_VERIFICATION_FAILED, schedule=event.get("schedule"), **answer)
    else:
        logger.info("ledger verified", schedule=event.get("schedule"), **answer)
    return answer


handler_for = per_environment(recorded(verify))
handler = handler_for(verify_ledger_services)
