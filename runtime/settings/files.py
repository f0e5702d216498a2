"""Settings of the functions that read settlement files and write exports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Settings


class ReconcileSettings(Settings, frozen=True):
    """The function that reads settlement files."""

    accounts_table: str
    alerts_table: str
    merchants_table: str
    payments_table: str
    settlement_chunks_table: str
    settlement_files_table: str
    settlement_identities_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    transfers_table: str
    settlement_bucket: str
    settlement_queue_url: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class MissingSettings(Settings, frozen=True):
    """The scheduled function that finds transactions missing from settlement files."""

    merchants_table: str
    settlement_chunks_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30


class ExportSettings(Settings, frozen=True):
    """The function that writes exports."""

    accounts_table: str
    audit_log_table: str
    entries_table: str
    exports_table: str
    merchants_table: str
    payments_table: str
    settlement_lines_table: str
    settlements_table: str
    transactions_table: str
    transfers_table: str
    export_bucket: str
    export_queue_url: str
    settle_seconds: Annotated[int, Field(ge=0, le=600)] = 60
    """How long to wait before an export reads: earlier writes are then committed and projected."""
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
