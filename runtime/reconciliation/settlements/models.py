"""Settlements: the content of each payout, and the state of each of its lines."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from runtime.core.fields import SignedMinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Row, UnlessDefault, partition, shown_in, sort
from runtime.payments import unsettled_ids

SETTLEMENT_PREFIX: Final = "set_"
"""Of ids derived from a settlement's identity, not from the time."""
LINES_PER_BUCKET: Final = 1_000
"""Lines that share a partition key: the chunks of a file are written into partitions of their own,
of which each takes 500 lines a second (DynamoDB: 1,000 write units, twice in a transaction)."""
LATER_FILE_LINES: Final = 10_000_000
"""What the numbers of lines are raised by, for each file that a settlement had before theirs."""
REPORTS_PREFIX: Final = "reports/"
"""Prefix of the reports of settlements in the export bucket."""
MAX_NOTE: Final = 500
"""Characters of the note of a resolution."""


class SettlementFormat(StrEnum):
    """Layouts of settlement files; `unsettled` collects transactions that are in no file."""

    CANONICAL = "canonical"
    STRIPE = "stripe"
    ADYEN = "adyen"
    PAYPAL = "paypal"
    UNSETTLED = unsettled_ids.UNSETTLED


class SettlementStatus(StrEnum):
    """Completed once every exception is resolved. Of a rejected file nothing was booked."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    COMPLETED_WITH_EXCEPTIONS = "completed_with_exceptions"
    REJECTED = "rejected"


class LineType(StrEnum):
    """What kind of movement a line reports."""

    CAPTURE = "capture"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"
    DISPUTE = "dispute"
    DISPUTE_REVERSAL = "dispute_reversal"
    FEE = "fee"
    ADJUSTMENT = "adjustment"
    PAYOUT = "payout"


class LineStatus(StrEnum):
    """The result of comparing a line with what we have booked."""

    MATCHED = "matched"
    AMOUNT_MISMATCH = "amount_mismatch"
    FEE_MISMATCH = "fee_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    STATUS_MISMATCH = "status_mismatch"
    DUPLICATE = "duplicate"
    UNEXPECTED = "unexpected"
    UNCLASSIFIED = "unclassified"
    INVALID = "invalid"
    EXPECTED = "expected"
    MISSING = "missing"
    SUPERSEDED = "superseded"


NO_EXCEPTION: Final = frozenset({LineStatus.MATCHED, LineStatus.EXPECTED, LineStatus.SUPERSEDED})
"""Statuses that require no action."""


class CurrencyTotal(BaseModel, frozen=True, defer_build=True):
    """Sums of lines of one currency, in minor units."""

    amount: SignedMinorUnits = 0
    fee: SignedMinorUnits = 0
    net: SignedMinorUnits = 0


class TypeTotal(CurrencyTotal, frozen=True):
    """Sums of the lines of one type and currency, and how many there are."""

    count: int = 0


class Flows(BaseModel, frozen=True, defer_build=True):
    """Signed minor units of one currency that lines move between the accounts of the chart.

    Source and destination of each flow: runtime/reconciliation/matching/flows.py.
    """

    net: SignedMinorUnits = 0
    fee: SignedMinorUnits = 0
    cost: SignedMinorUnits = 0
    adjusted: SignedMinorUnits = 0
    written_off: SignedMinorUnits = 0
    written_off_fee: SignedMinorUnits = 0


class LineBooking(BaseModel, frozen=True, defer_build=True):
    """A line's part of a posting: one transfer books a whole batch of lines."""

    transfer_id: str
    currency: str
    flows: Flows


class ResolutionAction(StrEnum):
    """How an exception was resolved. docs/reconciliation.md says what each books."""

    ACCEPT = "accept"
    WRITE_OFF = "write_off"
    LINK = "link"
    IGNORE = "ignore"


DecidedAction = Literal["accept", "write_off", "link", "ignore", "undo"]
"""The possible decisions about a line: an action, or undoing the last one."""


class ExpectedAmounts(BaseModel, frozen=True, defer_build=True):
    """Booked amounts of a line's counterpart, in minor units, which it was compared with.

    For a payout: the sum of its lines.
    """

    amount: SignedMinorUnits
    fee: SignedMinorUnits = 0
    currency: str
    status: str | None = None


class BeforeLink(BaseModel, frozen=True, defer_build=True):
    """The classification of a line before it was linked, so that a link can be undone."""

    status: LineStatus
    reason: str | None = None
    type: LineType | None = None
    payment_id: str | None = None
    transaction_id: str | None = None
    expected: ExpectedAmounts | None = None


class Resolution(BaseModel, frozen=True, defer_build=True):
    """Who resolved an exception, when and why."""

    action: ResolutionAction
    note: str
    by: str
    at: Timestamp
    linked: BeforeLink | None = None


class LastResolution(BaseModel, frozen=True, defer_build=True):
    """The last decision about a line of a settlement; `undo` reopened it.

    It is stored with the settlement so that each decision is a row of the audit log.
    """

    line: int
    action: DecidedAction
    note: str


class SettlementDelta(BaseModel, frozen=True, defer_build=True):
    """The changes of some lines in the counts and sums of their settlement.

    `counts` by status; `open_exceptions` of them have no resolution; `totals` of matched captures;
    `by_type` of all lines, whatever their status; `payout` of payout lines, as a positive sum paid
    out; `buckets`: partitions that contain lines; `payout_lines`: their numbers.
    """

    counts: dict[LineStatus, int] = Field(default_factory=dict)
    open_exceptions: int = 0
    totals: dict[str, CurrencyTotal] = Field(default_factory=dict)
    by_type: dict[str, dict[str, TypeTotal]] = Field(default_factory=dict)
    payout: dict[str, SignedMinorUnits] = Field(default_factory=dict)
    buckets: tuple[int, ...] = ()
    payout_lines: tuple[int, ...] = ()
    date: str | None = None


class Settlement(Record, table="settlements", stream=True, frozen=True):
    """One payout of a processor, or one canonical file, from all files with lines of it.

    `file_ids` in the order of their first lines; `added_files` are those whose lines
    are in the sums. `remainder` by currency is the payout less the net of all other lines.
    `line_buckets`: the partitions of settlement_lines that contain its lines.
    """

    id: Annotated[str, partition()]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    date: Annotated[str, sort("gsi-merchant")]
    status: Annotated[SettlementStatus, shown_in("gsi-merchant")]
    format: SettlementFormat = SettlementFormat.CANONICAL
    payout_reference: str | None = None
    source: str
    sha256: str
    rejection_reason: str | None = None
    file_ids: tuple[str, ...] = ()
    added_files: tuple[str, ...] = ()
    line_buckets: tuple[int, ...] = ()
    payout_lines: tuple[int, ...] = ()
    counts: dict[LineStatus, int] = Field(default_factory=dict)
    open_exceptions: int = 0
    totals: dict[str, CurrencyTotal] = Field(default_factory=dict)
    by_type: dict[str, dict[str, TypeTotal]] = Field(default_factory=dict)
    payout: dict[str, SignedMinorUnits] = Field(default_factory=dict)
    remainder: dict[str, SignedMinorUnits] = Field(default_factory=dict)
    lines_done: int = 0
    last_line: int = 0
    completed_at: Timestamp | None = None
    last_resolution: LastResolution | None = None


class SettlementLine(Record, table="settlement_lines", stream=True, frozen=True):
    """One line of a settlement: as it was read, its counterpart, and its bookings.

    `line` is the physical line of its file (`file_line`) where the settlement's first file had it;
    each later file's own lines are numbered from another LATER_FILE_LINES on. `type` is absent
    if the category is unknown or the line unreadable. Amounts are signed minor units. Its total
    booking is the sum of its `bookings`. It is in `gsi-exception` while it needs a
    decision.
    """

    settlement_bucket: Annotated[str, partition()]
    line: Annotated[int, sort()]
    exception_bucket: Annotated[str | None, partition("gsi-exception")] = None
    exception_key: Annotated[str | None, sort("gsi-exception")] = None
    transaction_id: Annotated[str | None, partition("gsi-transaction")] = None
    settlement_id: str
    status: Annotated[LineStatus, shown_in("gsi-transaction")]
    reason: str | None = None
    type: LineType | None = None
    category: str | None = None
    identity: str | None = None
    file_id: str | None = None
    file_line: int | None = None
    payment_id: str | None = None
    dispute_id: str | None = None
    processor_ids: Annotated[tuple[str, ...], UnlessDefault()] = ()
    amount: SignedMinorUnits | None = None
    fee: SignedMinorUnits | None = None
    net: SignedMinorUnits | None = None
    currency: str | None = None
    presented_amount: SignedMinorUnits | None = None
    presented_currency: str | None = None
    processed_date: str | None = None
    settlement_date: str | None = None
    expected: ExpectedAmounts | None = None
    bookings: Annotated[tuple[LineBooking, ...], UnlessDefault()] = ()
    resolution: Resolution | None = None


class SettlementIdentity(Row, table="settlement_identities", frozen=True):
    """The place of the line with an identity, so that a repeated line finds it.

    `id`: merchant and a hash of format and identity. Written with the line, in one transaction.
    """

    id: Annotated[str, partition()]
    merchant_id: str
    settlement_id: str
    line: int
    file_id: str
    file_line: int
    created_at: Timestamp
