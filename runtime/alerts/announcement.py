"""Announces new alerts: the alerts table's stream to EventBridge and a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.alerts.api import AlertAnswer
from runtime.alerts.event_bus import Event
from runtime.alerts.models import ALERT_RAISED, EVENT_SOURCE, Alert
from runtime.core.observability import logger
from runtime.core.timestamps import to_datetime
from runtime.streams.records import Change, Failed, Kind


class Bus(Protocol):
    """A destination for events."""

    def put(self, events: Sequence[Event]) -> frozenset[int]:
        """Send events. Returns the positions of the events that were not accepted."""
        ...


@dataclass(frozen=True)
class AnnouncementProjection:
    """Sends each new alert as an event at least once, then logs the line the metric counts."""

    bus: Bus

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Announce the new alerts. Returns the records to retry."""
        new = [change for change in changes if change.kind is Kind.INSERT]
        refused = self.bus.put([_event_of(change.new) for change in new])
        for position, change in enumerate(new):
            if position not in refused:
                _count(change.new)
        return frozenset(new[position].sequence_number for position in refused)


def _event_of(alert: Alert) -> Event:
    detail = AlertAnswer.of(alert).model_dump_json()
    return Event(EVENT_SOURCE, alert.type, detail, to_datetime(alert.created_at))


def _count(alert: Alert) -> None:
    logger.warning(
        ALERT_RAISED, alert_type=alert.type.value, alert=alert.id, entity=alert.entity_id
    )
