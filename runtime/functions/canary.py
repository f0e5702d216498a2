"""Scheduled function: uses the API as a client does, and says in one log line how it went.

A failed run ends normally: its line is the alarm's reason, and a retry would find the same. Only a
crash is retried by Lambda, with the same event and so the same idempotency keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.canary.client import LONGEST_REQUEST_SECONDS, CanaryApi, HttpCanaryApi
from runtime.canary.credentials import CanaryCredentials, CredentialsMissing, read_credentials
from runtime.canary.rules import UnexpectedAnswer, run_id
from runtime.canary.run import CanaryDependencies, pay_and_refund, read_only
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.functions.composition.real_outside import real_outside
from runtime.settings import CANARY_FAILED, CANARY_SUCCEEDED, CanarySettings

CANARY_SKIPPED: Final = "canary skipped"
MARGIN_SECONDS: Final = 5.0
"""Left of the timeout after the last request, for the log line."""


@dataclass(frozen=True)
class CanaryServices:
    """Dependencies of functions/canary.py. `api` makes the client of the deployed API."""

    settings: CanarySettings
    outside: Outside
    api: Callable[[CanaryCredentials], CanaryApi] = HttpCanaryApi

    def dependencies(self, remaining_seconds: float) -> CanaryDependencies:
        """Those of one run, which is to end in time. Raises CredentialsMissing."""
        settings, monotonic = self.settings, self.outside.monotonic
        secrets = self.outside.aws.secrets_manager()
        credentials = read_credentials(secrets, settings.canary_secret_arn, settings.stage)
        return CanaryDependencies(
            api=self.api(credentials),
            merchant_id=credentials.merchant_id,
            account_id=credentials.account_id,
            monotonic=monotonic,
            sleep=self.outside.sleep,
            ends=monotonic() + remaining_seconds - LONGEST_REQUEST_SECONDS - MARGIN_SECONDS,
            ledger_seconds=settings.ledger_seconds,
            retry_seconds=settings.retry_seconds,
        )


@cache
def canary_services() -> CanaryServices:
    """Build the services from the environment, once."""
    return CanaryServices(CanarySettings.from_environment(os.environ), real_outside())


def handler_for(
    services: Callable[[], CanaryServices],
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Create the handler on the services of one execution environment."""

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Handle the schedule's event; without a time, as by hand, it is a run of its own."""
        return _run(event, services(), context.get_remaining_time_in_millis() / 1_000)

    return handler


def _run(
    event: dict[str, Any], services: CanaryServices, remaining_seconds: float
) -> dict[str, Any]:
    now = services.outside.now()
    scheduled_at = datetime.fromisoformat(event["time"]) if "time" in event else now
    run, late_seconds = run_id(scheduled_at), (now - scheduled_at.astimezone(UTC)).total_seconds()
    if late_seconds > services.settings.latest_seconds:
        logger.warning(CANARY_SKIPPED, run=run, late_seconds=late_seconds)
        return {"run": run, "skipped": f"it began {late_seconds:.0f} s late"}
    try:
        deps = services.dependencies(remaining_seconds)
        live = services.settings.processors == "live"
        report = read_only(deps) if live else pay_and_refund(run, deps)
    except (CredentialsMissing, UnexpectedAnswer) as error:
        logger.error(CANARY_FAILED, run=run, detail=str(error))
        return {"run": run, "failed": str(error)}
    logger.info(CANARY_SUCCEEDED, run=run, **asdict(report))
    return {"run": run, **asdict(report)}


handler = handler_for(canary_services)
