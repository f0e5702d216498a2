"""Behind the proof of the books."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.repositories.books import Books
from runtime.repositories.proofs import ProofRepository
from runtime.services.proof_work import ProofDesk
from runtime.settings import ProofSettings


class ProofServices(FunctionServices):
    """Behind handlers/proof.py."""

    def __init__(self, settings: ProofSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.desk = ProofDesk(
            proofs=ProofRepository(self.store),
            books=Books(self.store),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
            cut=timedelta(seconds=settings.cut_seconds),
            patience_seconds=settings.patience_seconds,
        )


@cache
def proof_services() -> ProofServices:
    """Built from the environment at the first event."""
    return ProofServices(ProofSettings.from_environment(os.environ))
