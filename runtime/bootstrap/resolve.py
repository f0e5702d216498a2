"""Behind the resolver's schedule."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.bootstrap.payments import PaymentPartners, payment_dependencies_of
from runtime.core.outside import Outside
from runtime.services.fair_run import RunLimits
from runtime.settings import ResolverSettings


class ResolverServices(FunctionServices):
    """Behind handlers/resolve.py."""

    def __init__(
        self,
        settings: ResolverSettings,
        outside: Outside | None = None,
        partners: PaymentPartners | None = None,
    ) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn}, outside)
        self.payment_dependencies = payment_dependencies_of(self, settings, partners)
        self.limits = RunLimits(
            workers=settings.workers,
            per_owner=settings.workers_per_merchant,
            begin_seconds=settings.begin_seconds,
        )


@cache
def resolver_services() -> ResolverServices:
    """Built from the environment at the first event."""
    return ResolverServices(ResolverSettings.from_environment(os.environ))
