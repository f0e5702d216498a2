"""The resolver's schedule: finish payments whose request died or whose answer was lost."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.fair_run import RunLimits
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.payment_services import PaymentPartners, payment_dependencies_of
from runtime.functions.composition.services import FunctionServices
from runtime.payments.resolution.resolver import resolve_due
from runtime.settings import ResolverSettings


class ResolverServices(FunctionServices):
    """Behind functions/resolve.py."""

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


def resolve(event: Event, context: LambdaContext, services: ResolverServices) -> dict[str, Any]:
    """One run over the due payments; its report is the answer."""
    report = resolve_due(
        services.payment_dependencies,
        services.store,
        context.aws_request_id,
        services.operational_alerts,
        services.limits,
        services.invocation.within,
    )
    logger.info("resolved", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(resolve)
handler = handler_for(resolver_services)
