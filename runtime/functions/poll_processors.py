"""The daily schedule that asks processors for disputes and failed refunds that no event told."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.payment_services import (
    PaymentPartners,
    payment_dependencies_of,
    processor_event_dependencies_of,
)
from runtime.functions.composition.services import FunctionServices
from runtime.merchants.repository import MerchantRepository
from runtime.payments.disputes.poll import PollDependencies, poll
from runtime.settings import PollSettings


class PollServices(FunctionServices):
    """Behind functions/poll_processors.py."""

    def __init__(
        self,
        settings: PollSettings,
        outside: Outside | None = None,
        partners: PaymentPartners | None = None,
    ) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn}, outside)
        self._stop_before_timeout_seconds = settings.stop_before_timeout_seconds
        self.poll_dependencies = PollDependencies(
            events=processor_event_dependencies_of(
                self, payment_dependencies_of(self, settings, partners)
            ),
            merchants=MerchantRepository(self.store),
            overlap=timedelta(days=settings.poll_days),
            must_stop=self._must_stop,
        )

    def _must_stop(self) -> bool:
        return self.invocation.remaining_seconds() < self._stop_before_timeout_seconds


@cache
def poll_services() -> PollServices:
    """Built from the environment at the first event."""
    return PollServices(PollSettings.from_environment(os.environ))


def poll_processors(event: Event, context: LambdaContext, services: PollServices) -> dict[str, Any]:
    """One run, which may be a part of a round; its report is the answer."""
    report = poll(services.poll_dependencies, context.aws_request_id)
    logger.info("polled", schedule=event.get("schedule"), **asdict(report))
    return asdict(report)


handler_for = per_environment(poll_processors)
handler = handler_for(poll_services)
