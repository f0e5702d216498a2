"""Settlements: one processor's file, its totals, and what became of each of its lines."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, Field

from runtime.models.fields import Instant, Record, SignedMinorUnits
from runtime.schema import partition, sort

SETTLEMENT_PREFIX: Final = "set_"
"""Of ids that are made of a file's content, not of the time."""


class SettlementStatus(StrEnum):
    """Rejected files were unreadable as a whole; nothing of them was booked."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    COMPLETED_WITH_EXCEPTIONS = "completed_with_exceptions"
    REJECTED = "rejected"


class LineStatus(StrEnum):
    """What a settlement line turned out to be."""

    MATCHED = "matched"
    AMOUNT_MISMATCH = "amount_mismatch"
    FEE_MISMATCH = "fee_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    STATUS_MISMATCH = "status_mismatch"
    DUPLICATE = "duplicate"
    UNEXPECTED = "unexpected"
    INVALID = "invalid"
    MISSING = "missing"


class CurrencyTotal(BaseModel, frozen=True):
    """Sums of the matched lines of one currency, in minor units."""

    amount: SignedMinorUnits = 0
    fee: SignedMinorUnits = 0
    net: SignedMinorUnits = 0


class Settlement(Record, table="settlements", stream=True, frozen=True):
    """One settlement file.

    `lines_done` counts the lines judged so far: the checkpoint from which a crashed run goes on.
    `last_line` is the number of the last of them in the file, the header being line 1.
    """

    id: Annotated[str, partition()]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    date: Annotated[str, sort("gsi-merchant")]
    status: SettlementStatus
    source: str
    sha256: str
    rejection_reason: str | None = None
    lines_done: int = 0
    last_line: int = 0
    counts: dict[LineStatus, int] = Field(default_factory=dict)
    totals: dict[str, CurrencyTotal] = Field(default_factory=dict)
    completed_at: Instant | None = None


class SettlementLine(Record, table="settlement_lines", stream=True, frozen=True):
    """One line of a settlement file as it was read, and the status it was given."""

    settlement_bucket: Annotated[str, partition()]
    line: Annotated[int, sort()]
    exception_bucket: Annotated[str | None, partition("gsi-exception")] = None
    exception_key: Annotated[str | None, sort("gsi-exception")] = None
    transaction_id: Annotated[str | None, partition("gsi-transaction")] = None
    settlement_id: str
    status: LineStatus
    reason: str | None = None
    payment_id: str | None = None
    amount: SignedMinorUnits | None = None
    fee: SignedMinorUnits | None = None
    net: SignedMinorUnits | None = None
    currency: str | None = None
    processed_date: str | None = None
    settlement_date: str | None = None
