"""Transactions: each thing that a processor did for a payment."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel

from runtime.core.fields import MinorUnits, SignedMinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import UnlessDefault, partition, sort


class TransactionType(StrEnum):
    """What was asked of the processor."""

    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    REFUND = "refund"
    VOID = "void"


class TransactionStatus(StrEnum):
    """Settled means that the money was found in a settlement file."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SETTLED = "settled"


class AuditStep(BaseModel, frozen=True):
    """One step of a transaction's life: the status it took, when, and who or what caused it."""

    status: TransactionStatus
    at: Timestamp
    by: str


class GroupedLine(BaseModel, frozen=True):
    """A settlement line about a payment that does not fit its captures alone, in minor units.

    A processor reports a capture in part as the whole charge and a negative reversal of the rest:
    together they fit.
    """

    settlement_id: str
    line: int
    amount: SignedMinorUnits
    fee: SignedMinorUnits


class Transaction(Record, table="transactions", stream=True, frozen=True):
    """Something that a processor does for a payment.

    A charge's is written with its answer. A capture, refund or void of an authorization is written
    before the processor is asked, pending, and stands in `gsi-open` until the answer is known. It
    also stands in `gsi-merchant`; a charge does not: its id follows from its payment's, which has a
    list of its own.
    """

    id: Annotated[
        str, partition(), sort("gsi-payment"), sort("gsi-unsettled"), sort("gsi-merchant")
    ]
    merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
    open_bucket: Annotated[str | None, partition("gsi-open")] = None
    next_action_at: Annotated[Timestamp | None, sort("gsi-open")] = None
    payment_id: Annotated[str, partition("gsi-payment")]
    processor_id: Annotated[str | None, partition("gsi-processor")] = None
    unsettled_bucket: Annotated[str | None, partition("gsi-unsettled")] = None
    type: TransactionType
    amount: MinorUnits
    currency: str
    status: TransactionStatus
    fee: MinorUnits = 0
    response_code: str | None = None
    response_text: str | None = None
    processed_at: Timestamp | None = None
    reason: str | None = None
    final: bool | None = None
    claim_key: str | None = None
    lease_owner: str | None = None
    lease_expires_at: Timestamp | None = None
    settlement_id: str | None = None
    settled_at: Timestamp | None = None
    settlement_line: int | None = None
    learned_fee: Annotated[MinorUnits, UnlessDefault()] = 0
    """How much of `fee` the processor had not reported before its settlement file did."""
    settlement_group: Annotated[tuple[GroupedLine, ...], UnlessDefault()] = ()
    missing_in: str | None = None
    """The settlement of what is in no file, and its line, where this was found to be missing."""
    missing_line: int | None = None
    return_settlement_id: str | None = None
    """Where a refund that came back was found in a file."""
    audit_trail: tuple[AuditStep, ...] = ()
