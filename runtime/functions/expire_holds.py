"""The schedule of expiring holds: give back what nobody posted in time."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.ledger.holds.expiry import HoldExpiryDependencies, expire_due_holds
from runtime.ledger.repository import LedgerRepository
from runtime.ledger.transfers.repository import TransferRepository
from runtime.settings import HoldsSettings


class ExpireHoldsServices(FunctionServices):
    """Behind functions/expire_holds.py."""

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


def expire(event: Event, context: LambdaContext, services: ExpireHoldsServices) -> dict[str, Any]:
    """One run over the holds that are due; its report is the answer."""
    report = expire_due_holds(services.deps, context.aws_request_id)
    logger.info("expired holds", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(expire)
handler = handler_for(expire_holds_services)
