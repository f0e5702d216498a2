"""Scheduled daily: asks processors for disputes and failed refunds whose events were missed."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache

from runtime.core.outside import Outside
from runtime.functions.composition.environments import scheduled
from runtime.functions.composition.payment_services import (
    PaymentPartners,
    payment_dependencies_of,
    processor_event_dependencies_of,
)
from runtime.functions.composition.services import FunctionServices
from runtime.merchants.repository import MerchantRepository
from runtime.payments.disputes.poll import PollDependencies, PollReport, poll
from runtime.settings import PollSettings


class PollServices(FunctionServices):
    """Dependencies of functions/poll_processors.py."""

    def __init__(
        self,
        settings: PollSettings,
        outside: Outside | None = None,
        partners: PaymentPartners | None = None,
    ) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn}, outside)
        self.poll_dependencies = PollDependencies(
            events=processor_event_dependencies_of(
                self, payment_dependencies_of(self, settings, partners)
            ),
            merchants=MerchantRepository(self.store),
            overlap=timedelta(days=settings.poll_days),
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def poll_services() -> PollServices:
    """Build the services from the environment, once."""
    return PollServices(PollSettings.from_environment(os.environ))


def poll_processors(services: PollServices, request_id: str) -> PollReport:
    """Run until time runs out; the next run continues the round."""
    return poll(services.poll_dependencies, request_id)


handler_for = scheduled("processors polled", poll_processors)
handler = handler_for(poll_services)
