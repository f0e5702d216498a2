"""Behind the proof of the books."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.repositories.books import VerificationReads
from runtime.repositories.proofs import VerificationRepository
from runtime.services.proof_work import LedgerVerificationDependencies
from runtime.settings import VerifyLedgerSettings


class VerifyLedgerServices(FunctionServices):
    """Behind handlers/proof.py."""

    def __init__(self, settings: VerifyLedgerSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.deps = LedgerVerificationDependencies(
            proofs=VerificationRepository(self.store),
            books=VerificationReads(self.store),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
            cut=timedelta(seconds=settings.cut_seconds),
            patience_seconds=settings.patience_seconds,
        )


@cache
def verify_ledger_services() -> VerifyLedgerServices:
    """Built from the environment at the first event."""
    return VerifyLedgerServices(VerifyLedgerSettings.from_environment(os.environ))
