"""Settings of the ledger's scheduled functions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Settings


class HoldsSettings(Settings, frozen=True):
    """The scheduled function that releases expired holds."""

    accounts_table: str
    transfers_table: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class VerifyLedgerSettings(Settings, frozen=True):
    """The scheduled function that verifies the ledger.

    `cut_seconds`: younger writes may not be committed yet and are skipped. The default is the
    maximum duration of a Lambda invocation.
    """

    accounts_table: str
    entries_table: str
    payments_table: str
    proofs_table: str
    settlement_lines_table: str
    transactions_table: str
    transfers_table: str
    cut_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    patience_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    """How long an entry may lag behind its account or transfer before it counts as missing."""
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
