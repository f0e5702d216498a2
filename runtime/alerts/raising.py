"""Raising alerts: each is a row, and the table's change stream announces it."""

from __future__ import annotations

from runtime.alerts.models import Alert, AlertFacts, Window
from runtime.alerts.repository import ALL_ALERTS, AlertRepository
from runtime.core.ids import repeatable_id
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import ALERT_BUCKETS, bucket_for

ALERT_PREFIX = "alr"


def raise_alert(finding: AlertFacts, alerts: AlertRepository) -> bool:
    """Write the alert. Returns whether it is the first of its window.

    Raising it again, for example for a redelivered stream record, changes nothing.
    Raises what writing a row raises.
    """
    return alerts.record(alert_of(finding))


def alert_of(finding: AlertFacts) -> Alert:
    """The row for an alert."""
    window = finding.window or Window(finding.at)
    meaning = (finding.type, finding.entity_type, finding.entity_id, window.name)
    alert_id = repeatable_id(ALERT_PREFIX, window.begin, *meaning)
    created_at = to_timestamp(finding.at)
    return Alert(
        id=alert_id,
        merchant_bucket=bucket_for(finding.merchant_id, alert_id, ALERT_BUCKETS),
        everybody_bucket=bucket_for(ALL_ALERTS, alert_id, ALERT_BUCKETS),
        listed_at=f"{created_at}#{alert_id}",
        created_at=created_at,
        merchant_id=finding.merchant_id,
        type=finding.type,
        entity_id=finding.entity_id,
        detail={"entity_type": finding.entity_type, **finding.detail},
    )
