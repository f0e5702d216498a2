"""Transactions: the actions of a processor for a payment."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel

from runtime.core.fields import MinorUnits, SignedMinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import UnlessDefault, partition, sort


class TransactionType(StrEnum):
    """The action that was requested from the processor."""

    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    REFUND = "refund"
    VOID = "void"


class TransactionStatus(StrEnum):
    """The status of a transaction. `settled`: it was found in a settlement file."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SETTLED = "settled"


class AuditStep(BaseModel, frozen=True, defer_build=True):
    """A change of a transaction's status: the new status, the time, and who or what caused it."""

    status: TransactionStatus
    at: Timestamp
    by: str


class GroupedLine(BaseModel, frozen=True, defer_build=True):
    """A settlement line that matches a capture only together with others, in minor units.

    Some processors report a partial capture as the full charge and a negative reversal of the rest.
    """

    settlement_id: str
    line: int
    amount: SignedMinorUnits
    fee: SignedMinorUnits


class Transaction(Record, table="transactions", stream=True, frozen=True):
    """An action of the processor for a payment: a charge, capture, refund or void.

    A charge's transaction is written with its answer. The others are written as pending before the
    processor is called, and are in `gsi-open` until the answer is known. They are also in
    `gsi-merchant`. Charges are not, because their ids follow from the payments' ids. A payment has
    the ids of all of its transactions.
    """

    id: Annotated[str, partition(), sort("gsi-unsettled"), sort("gsi-merchant")]
    merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
    open_bucket: Annotated[str | None, partition("gsi-open")] = None
    next_action_at: Annotated[Timestamp | None, sort("gsi-open")] = None
    payment_id: str
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
    """The part of `fee` that only the settlement file reported."""
    settlement_group: Annotated[tuple[GroupedLine, ...], UnlessDefault()] = ()
    missing_in: str | None = None
    """The settlement and line that record this transaction as missing from all files."""
    missing_line: int | None = None
    return_settlement_id: str | None = None
    """The settlement that contains the return of this refund."""
    audit_trail: tuple[AuditStep, ...] = ()
