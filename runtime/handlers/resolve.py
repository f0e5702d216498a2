"""The resolver's schedule: finish payments whose request died or whose answer was lost."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.resolve import ResolverServices, resolver_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.payment_resolution import resolve_due


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
