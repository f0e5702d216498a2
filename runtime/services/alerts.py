"""Raising alerts: a row each, whose appearance in the change stream tells everybody else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runtime.domain.buckets import ALERT_BUCKETS, bucket_for
from runtime.domain.ids import repeatable_id
from runtime.domain.instants import to_instant
from runtime.models.alert import Alert, AlertType, Detail
from runtime.repositories.alerts import EVERYBODY_NAME, AlertRepository

ALERT_PREFIX = "alr"


@dataclass(frozen=True, slots=True)
class Window:
    """In which one alert of a type is enough for an entity.

    `begin` is when it begins, the same moment for whoever raises an alert in it; `name` tells
    windows that begin together from each other.
    """

    begin: datetime
    name: str = ""


def raise_alert(  # noqa: PLR0913 - the parts of one alert
    alert_type: AlertType,
    alerts: AlertRepository,
    *,
    entity_type: str,
    entity_id: str,
    merchant_id: str,
    detail: Detail,
    at: datetime,
    window: Window | None = None,
) -> bool:
    """Record an alert about an entity; whether it is the first of its `window`.

    `at` is when what it is about happened, not when it was found out: without a window it is the
    window, so that a stream record that comes again raises the alert that it raised before.
    Raises what writing a row raises.
    """
    window = window or Window(at)
    alert_id = repeatable_id(
        ALERT_PREFIX, window.begin, alert_type, entity_type, entity_id, window.name
    )
    created_at = to_instant(at)
    alert = Alert(
        id=alert_id,
        merchant_bucket=bucket_for(merchant_id, alert_id, ALERT_BUCKETS),
        everybody_bucket=bucket_for(EVERYBODY_NAME, alert_id, ALERT_BUCKETS),
        listed_at=f"{created_at}#{alert_id}",
        created_at=created_at,
        merchant_id=merchant_id,
        type=alert_type,
        entity_id=entity_id,
        detail={"entity_type": entity_type, **detail},
    )
    return alerts.record(alert)
