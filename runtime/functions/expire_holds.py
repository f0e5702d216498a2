"""Scheduled function: expires holds that were not posted in time and releases their funds."""

from __future__ import annotations

import os
from functools import cache

from runtime.core.outside import Outside
from runtime.functions.composition.environments import scheduled
from runtime.functions.composition.services import FunctionServices
from runtime.ledger.holds.expiry import ExpiryReport, HoldExpiryDependencies, expire_due_holds
from runtime.ledger.repository import LedgerRepository
from runtime.ledger.transfers.repository import TransferRepository
from runtime.settings import HoldsSettings


class ExpireHoldsServices(FunctionServices):
    """Dependencies of functions/expire_holds.py."""

    def __init__(self, settings: HoldsSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        self.deps = HoldExpiryDependencies(
            ledger=LedgerRepository(self.store),
            transfers=TransferRepository(self.store),
            outside=self.outside,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def expire_holds_services() -> ExpireHoldsServices:
    """Build the services from the environment, once."""
    return ExpireHoldsServices(HoldsSettings.from_environment(os.environ))


def expire(services: ExpireHoldsServices, request_id: str) -> ExpiryReport:
    """Expire the due holds until time runs out."""
    return expire_due_holds(services.deps, request_id)


handler_for = scheduled("holds expired", expire)
handler = handler_for(expire_holds_services)
