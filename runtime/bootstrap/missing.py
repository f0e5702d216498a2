"""Behind the sweep for what no settlement file names."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.repositories.merchants import MerchantRepository
from runtime.repositories.unsettled import UnsettledRepository
from runtime.services.reconciliation.unsettled import SweepDependencies
from runtime.settings import MissingSettings


class MissingServices(FunctionServices):
    """Behind handlers/missing.py."""

    def __init__(self, settings: MissingSettings, outside: Outside | None = None) -> None:
        super().__init__(settings, outside=outside)
        margin = settings.stop_before_timeout_seconds
        self.dependencies = SweepDependencies(
            unsettled=UnsettledRepository(self.store),
            merchants=MerchantRepository(self.store),
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def missing_services() -> MissingServices:
    """Built from the environment at the first event."""
    return MissingServices(MissingSettings.from_environment(os.environ))
