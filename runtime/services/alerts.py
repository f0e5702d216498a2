"""Raising alerts: a row each, whose appearance in the change stream tells everybody else."""

from __future__ import annotations

from runtime.domain.alert_rules import AlertFacts, Window
from runtime.domain.buckets import ALERT_BUCKETS, bucket_for
from runtime.domain.ids import repeatable_id
from runtime.domain.instants import to_datetime, to_timestamp
from runtime.models.alert import Alert, AlertType, Detail
from runtime.models.audit import AuditRow
from runtime.repositories.alerts import EVERYBODY_NAME, AlertRepository

ALERT_PREFIX = "alr"


def raise_alert(finding: AlertFacts, alerts: AlertRepository) -> bool:
    """Record the alert of a finding; whether it is the first of its window.

    One that is found again, by a stream record that comes again say, is the alert that is there.
    Raises what writing a row raises.
    """
    return alerts.record(alert_of(finding))


def change_outside(row: AuditRow, reason: str = "") -> AlertFacts:
    """What the projector raises before it puts a row that tells a change from outside.

    The alert's id follows from the row alone, so whoever has the row can look whether it was
    raised.
    """
    at = to_datetime(row.timestamp)
    detail: Detail = {"sequence": row.sequence, "attributes": list(row.changes), "reason": reason}
    return AlertFacts(
        AlertType.OUT_OF_BAND,
        row.entity_type,
        row.entity_id,
        row.merchant_id,
        detail,
        at,
        Window(at, row.sequence),
    )


def alert_of(finding: AlertFacts) -> Alert:
    """The row of a finding."""
    window = finding.window or Window(finding.at)
    meaning = (finding.type, finding.entity_type, finding.entity_id, window.name)
    alert_id = repeatable_id(ALERT_PREFIX, window.begin, *meaning)
    created_at = to_timestamp(finding.at)
    return Alert(
        id=alert_id,
        merchant_bucket=bucket_for(finding.merchant_id, alert_id, ALERT_BUCKETS),
        everybody_bucket=bucket_for(EVERYBODY_NAME, alert_id, ALERT_BUCKETS),
        listed_at=f"{created_at}#{alert_id}",
        created_at=created_at,
        merchant_id=finding.merchant_id,
        type=finding.type,
        entity_id=finding.entity_id,
        detail={"entity_type": finding.entity_type, **finding.detail},
    )
