"""Exports: jobs that write a filtered list to the export bucket."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from runtime.models.fields import EpochSeconds, Record
from runtime.schema import Ttl, partition, sort


class ExportStatus(StrEnum):
    """Open ones (queued, running) stand in `gsi-status`."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Export(Record, table="exports", stream=True, frozen=True):
    """One export job and its result."""

    id: Annotated[str, partition(), sort("gsi-merchant"), sort("gsi-status")]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    open_status: Annotated[str | None, partition("gsi-status")] = None
    kind: str
    format: str
    filters: dict[str, str] = Field(default_factory=dict)
    status: ExportStatus = ExportStatus.QUEUED
    object_key: str | None = None
    rows: int | None = None
    sha256: str | None = None
    expires_at: Annotated[EpochSeconds, Ttl()]
