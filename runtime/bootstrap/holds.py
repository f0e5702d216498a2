"""Behind the expiry of holds."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.repositories.ledger import LedgerRepository
from runtime.repositories.transfers import TransferRepository
from runtime.services.hold_expiry import HoldExpiryDependencies
from runtime.settings import HoldsSettings


class ExpireHoldsServices(FunctionServices):
    """Behind handlers/holds.py."""

    def __init__(self, settings: HoldsSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.deps = HoldExpiryDependencies(
            ledger=LedgerRepository(self.store),
            transfers=TransferRepository(self.store),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def expire_holds_services() -> ExpireHoldsServices:
    """Built from the environment at the first event."""
    return ExpireHoldsServices(HoldsSettings.from_environment(os.environ))
