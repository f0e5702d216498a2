"""Behind the schedule that polls processors."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.bootstrap.payments import (
    PaymentPartners,
    payment_dependencies_of,
    processor_event_dependencies_of,
)
from runtime.core.outside import Outside
from runtime.repositories.merchants import MerchantRepository
from runtime.services.event_poll import PollDependencies
from runtime.settings import PollSettings


class PollServices(FunctionServices):
    """Behind handlers/poll.py."""

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
