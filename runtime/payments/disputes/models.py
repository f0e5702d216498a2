"""Processor events that cannot be booked: kept until they are applied."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from runtime.core.fields import Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Row, partition, shown_in, sort


class ProcessorEventStatus(StrEnum):
    """An applied one is final, until its dispute or refund is told of again in vain."""

    UNAPPLIED = "unapplied"
    APPLIED = "applied"


class KeptEvent(Record, table="processor_events", frozen=True):
    """A dispute or returned refund that could not be booked; one row for all news about it.

    It names what to ask the processor about, and nothing of what a notification said: to apply it
    is to ask again. So there is nothing personal in it. `account`: the processor account that sent
    it; `event_id` and `event_at`: the notification that was in vain last.
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
