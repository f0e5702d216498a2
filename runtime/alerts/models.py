"""Compliance alerts: large transactions, velocity, lock-outs, changes made past the application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Row, partition, sort

ALERT_RAISED: Final = "alert_raised"
"""Log message with the `alert_type` of an alert that was announced. A metric counts them by type,
and an alarm listens for SERIOUS ones."""
EVENT_SOURCE: Final = "payments"
"""`source` of the events on EventBridge; their detail-type is the alert's type."""


class AlertType(StrEnum):
    """What somebody should look at."""

    LARGE_TRANSACTION = "large_transaction"
    SUSPICIOUS_VELOCITY = "suspicious_velocity"
    LOCKOUT = "lock_out"
    OUT_OF_BAND = "out_of_band"
    DECRYPTION_FAILURE = "decryption_failure"
    UNKNOWN_TOO_OLD = "unknown_too_old"
    PROCESSOR_EVENT_UNAPPLIED = "processor_event_unapplied"
    SETTLEMENT_FILE_REJECTED = "settlement_file_rejected"


SERIOUS: Final = (
    AlertType.OUT_OF_BAND,
    AlertType.DECRYPTION_FAILURE,
    AlertType.UNKNOWN_TOO_OLD,
    AlertType.PROCESSOR_EVENT_UNAPPLIED,
)
"""Alerts about the platform itself: these ring."""

Detail = dict[str, str | int | list[str]]
"""The facts of an alert, by name; amounts in minor units."""


class Alert(Row, table="alerts", stream=True, frozen=True):
    """One alert. Its id is made of type, entity and window, so a repetition is the same row.

    `listed_at` is `created_at` and the id: the order of both lists. `created_at` is when it
    happened, which may be long before it was found out, and later than the time in the id, which is
    when the window began.
    """

    id: Annotated[str, partition()]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    everybody_bucket: Annotated[str, partition("gsi-everybody")]
    listed_at: Annotated[str, sort("gsi-merchant"), sort("gsi-everybody")]
    created_at: Timestamp
    merchant_id: str
    type: AlertType
    entity_id: str
    detail: Detail = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """In which one alert of a type is enough for an entity.

    `begin` is when it begins, the same moment for whoever raises an alert in it; `name` tells
    windows that begin together from each other.
    """

    begin: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """Something that an alert is to say. Without a window, `at` is the window."""

    type: AlertType
    entity_type: str
    entity_id: str
    merchant_id: str
    detail: Detail
    at: datetime
    window: Window | None = None
