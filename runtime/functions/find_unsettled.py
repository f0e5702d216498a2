"""The daily schedule that looks for captures and refunds that no settlement file has named."""

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
from runtime.merchants.repository import MerchantRepository
from runtime.reconciliation.unsettled.repository import UnsettledRepository
from runtime.reconciliation.unsettled.sweep import SweepDependencies, sweep_missing
from runtime.settings import MissingSettings


class MissingServices(FunctionServices):
    """Behind functions/find_unsettled.py."""

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


def look_for_missing(
    event: Event, context: LambdaContext, services: MissingServices
) -> dict[str, Any]:
    """One run, which may be a part of a round; its report is the answer."""
    report = sweep_missing(services.dependencies, context.aws_request_id)
    logger.info("swept", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(look_for_missing)
handler = handler_for(missing_services)
