"""The schedule of expiring holds: give back what nobody posted in time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.holds import ExpireHoldsServices, expire_holds_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.hold_expiry import expire_due_holds


def expire(event: Event, context: LambdaContext, services: ExpireHoldsServices) -> dict[str, Any]:
    """One run over the holds that are due; its report is the answer."""
    report = expire_due_holds(services.deps, context.aws_request_id)
    logger.info("expired holds", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(expire)
handler = handler_for(expire_holds_services)
