"""Exports: jobs that write a filtered list to the export bucket."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, Field

from runtime.core.fields import EpochSeconds, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Ttl, partition, shown_in, sort

EXPORT_PREFIX: Final = "exports/"
"""Prefix of all objects of exports."""


EXPORT_GIVEN_UP: Final = "export_given_up"
"""Log message: an export made no progress in several tries. It triggers an alarm."""


class ExportKind(StrEnum):
    """What is exported: the rows of one list of the API."""

    PAYMENTS = "payments"
    TRANSACTIONS = "transactions"
    TRANSFERS = "transfers"
    ENTRIES = "entries"
    AUDIT = "audit"
    SETTLEMENT_LINES = "settlement_lines"


class ExportFormat(StrEnum):
    """How it is written; `beancount` is for entries alone."""

    CSV = "csv"
    JSONL = "jsonl"
    BEANCOUNT = "beancount"


class ExportStatus(StrEnum):
    """The state of an export. Once it is completed, its file can be downloaded."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class ExportPart(BaseModel, frozen=True, defer_build=True):
    """One uploaded part of the object."""

    number: int
    etag: str


class Export(Record, table="exports", stream=True, frozen=True):
    """One export job, its progress, and its result.

    Rows created after `until` are not exported. `position` is the place in its source up to which
    all is written; `parts` are uploaded, and `tail` is the version whose object has the text after
    the last part. `next_part` skips a number whenever a worker takes over from another, whose last
    part may still arrive. `accounts` is the version whose object lists the accounts.

    `open_status` is the status of queued and running ones, for `gsi-status`.

    A worker leases the job until `lease_expires_at`. `tries` counts the leases since it
    last made progress.
    """

    id: Annotated[str, partition(), sort("gsi-merchant"), sort("gsi-status")]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    open_status: Annotated[str | None, partition("gsi-status")] = None
    kind: ExportKind
    format: ExportFormat
    filters: dict[str, str] = Field(default_factory=dict)
    until: Timestamp
    requested_by: str | None = None
    status: Annotated[ExportStatus, shown_in("gsi-merchant")] = ExportStatus.QUEUED
    failure_reason: str | None = None

    object_key: str | None = None
    upload_id: str | None = None
    parts: tuple[ExportPart, ...] = ()
    next_part: int = 1
    position: str | None = None
    rows_done: int = 0
    tail: int | None = None
    accounts: int | None = None
    read_all: bool = False

    rows: int | None = None
    size: int | None = None
    sha256: str | None = None
    completed_at: Timestamp | None = None

    lease_owner: str | None = None
    lease_expires_at: Timestamp | None = None
    tries: int = 0
    expires_at: Annotated[EpochSeconds, Ttl()]
