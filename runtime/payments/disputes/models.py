"""Processor events that cannot be booked: kept until they are applied."""

from enum import StrEnum
from typing import Annotated

from runtime.core.fields import Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Row, partition, shown_in, sort


class ProcessorEventStatus(StrEnum):
    """Applied is final, unless a later notification about the same object cannot be applied."""

    UNAPPLIED = "unapplied"
    APPLIED = "applied"


class KeptEvent(Record, table="processor_events", frozen=True):
    """A dispute or returned refund that could not be booked. One row for all its notifications.

    It identifies the object to ask the processor about. The notification's content is not stored,
    so the row has no personal data. `account`: the processor account that sent it. `event_id`,
    `event_at`: the latest notification that could not be applied.
    """

    id: Annotated[str, partition(), sort("gsi-merchant"), sort("gsi-status")]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    status_bucket: Annotated[str, partition("gsi-status")]
    status: Annotated[ProcessorEventStatus, shown_in("gsi-merchant")]
    reason: str
    detail: str
    processor: str
    account: str | None = None
    kind: str
    event_id: str
    event_at: Timestamp
    charge_id: str | None = None
    reference: str | None = None
    object_id: str | None = None
    payment_id: str | None = None
    attempts: int = 1
    applied_at: Timestamp | None = None


class PollProgress(Row, frozen=True):
    """The progress of the daily poll: a row of the processor_events table.

    `since`: earlier events were polled by an earlier round. `last_merchant`: an unfinished round
    resumes after it.
    """

    id: str
    started_at: Timestamp
    since: Timestamp
    last_merchant: str | None = None
    finished_at: Timestamp | None = None

    table_schema = KeptEvent.table_schema
