"""Scheduled function: finishes payments whose request died or whose response was lost."""

from __future__ import annotations

import os
from functools import cache

from runtime.core.fair_run import RunLimits
from runtime.core.log_messages import PAYMENTS_RESOLVED
from runtime.core.outside import Outside
from runtime.functions.composition.environments import scheduled
from runtime.functions.composition.payment_services import PaymentPartners, payment_dependencies_of
from runtime.functions.composition.services import FunctionServices
from runtime.payments.resolution.resolver import ResolverReport, resolve_due
from runtime.settings import ResolverSettings


class ResolverServices(FunctionServices):
    """Dependencies of functions/resolve.py."""

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
    """Build the services from the environment, once."""
    return ResolverServices(ResolverSettings.from_environment(os.environ))


def resolve(services: ResolverServices, request_id: str) -> ResolverReport:
    """Resolve the due payments and operations."""
    return resolve_due(
        services.payment_dependencies,
        services.store,
        request_id,
        services.operational_alerts,
        services.limits,
        services.invocation.within,
    )


handler_for = scheduled(PAYMENTS_RESOLVED, resolve)
handler = handler_for(resolver_services)
