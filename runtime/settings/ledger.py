"""Of the functions that keep and prove the books."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Settings


class HoldsSettings(Settings, frozen=True):
    """The scheduled function that gives back what expired holds hold."""

    accounts_table: str
    transfers_table: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 10


class VerifyLedgerSettings(Settings, frozen=True):
    """The scheduled function that proves the books.

    `cut_seconds`: what is younger is not expected to be committed. The default is as long as a
    Lambda function can run at all.
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
    """How long an entry may be behind its account or transfer before it is missed."""
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
