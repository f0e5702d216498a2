"""Alerts about operational failures, raised while doing other work.

Raising an alert never fails the caller: it has a short timeout, and errors are logged and dropped.
The caller logs the failure itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from runtime.alerts.models import AlertFacts, AlertType, Detail, Window
from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.core.errors import DecryptionFailure
from runtime.core.fields import PLATFORM
from runtime.core.observability import logger


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """A payment or operation whose outcome at the processor has been unknown for too long."""

    entity_type: str
    entity_id: str
    merchant_id: str
    detail: Detail


@dataclass(frozen=True)
class OperationalAlerts:
    """Raises operational alerts. `alerts` opens the repository with a short timeout."""

    alerts: Callable[[], AlertRepository]
    clock: Callable[[], datetime]

    def decryption_failed(self, error: DecryptionFailure) -> None:
        """Report a field that cannot be decrypted: one alert per location and day (UTC)."""
        self._report(lambda: _decryption_failure(error, self.clock()))

    def unknown_too_old(
        self, entity_id: str, read: Callable[[], UnknownOutcome | None], since: datetime
    ) -> None:
        """Report an outcome that has been unknown for too long: one alert per row.

        `since` is when it became too old. If the row cannot be read, the alert has no amount.
        """
        self._report(lambda: _too_old(entity_id, read, since))

    def _report(self, find: Callable[[], AlertFacts | None]) -> None:
        try:
            finding = find()
            if finding is not None:
                raise_alert(finding, self.alerts())
        except Exception:  # noqa: BLE001 - raising an alert must not fail the caller
            logger.exception("an operational alert could not be raised")


def _decryption_failure(error: DecryptionFailure, now: datetime) -> AlertFacts:
    place = error.place
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if place is None:
        return AlertFacts(
            AlertType.DECRYPTION_FAILURE,
            "key",
            error.code,
            PLATFORM,
            {"code": error.code, "reason": error.detail},
            now,
            Window(midnight, error.detail),
        )
    return AlertFacts(
        AlertType.DECRYPTION_FAILURE,
        place.table,
        place.key,
        place.owner or PLATFORM,
        {"code": error.code, "attribute": place.attribute},
        now,
        Window(midnight, place.attribute),
    )


def _too_old(
    entity_id: str, read: Callable[[], UnknownOutcome | None], since: datetime
) -> AlertFacts | None:
    try:
        found = read()
    except ValidationError:
        entity_type = "payment" if entity_id.startswith("pay_") else "transaction"
        detail: Detail = {"reason": "the row cannot be read"}
        return AlertFacts(
            AlertType.UNKNOWN_TOO_OLD, entity_type, entity_id, PLATFORM, detail, since
        )
    if found is None:
        return None
    return AlertFacts(
        AlertType.UNKNOWN_TOO_OLD,
        found.entity_type,
        found.entity_id,
        found.merchant_id,
        found.detail,
        since,
    )
