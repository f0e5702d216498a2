"""Alerts: large transactions, velocity, lockouts, out-of-band changes, operational failures."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Row, partition, sort

ALERT_RAISED: Final = "alert_raised"
"""Log message with the `alert_type` of an announced alert. A metric counts them by type, and an
alarm watches the SERIOUS ones."""
EVENT_SOURCE: Final = "payments"
"""`source` of the events on EventBridge; their detail-type is the alert's type."""


class AlertType(StrEnum):
    """What an alert is about."""

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
"""Alerts about the platform itself: these trigger an alarm."""

Detail = dict[str, str | int | list[str]]
"""Facts of an alert by name; amounts in minor units."""


class Alert(Row, table="alerts", stream=True, frozen=True):
    """One alert. Its id is derived from type, entity and window, so a repeat is the same row.

    `created_at` is when the event happened, which may be long before it was detected and later than
    the time in the id, which is the start of the window. `listed_at` is `created_at` and the id,
    the sort order of both lists.
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
    """A period in which an entity gets at most one alert of a type.

    `begin` is the start of the window and must be the same for every caller that raises the alert;
    `name` distinguishes windows with the same start.
    """

    begin: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """The content of an alert. Without a window, the window starts at `at`."""

    type: AlertType
    entity_type: str
    entity_id: str
    merchant_id: str
    detail: Detail
    at: datetime
    window: Window | None = None
