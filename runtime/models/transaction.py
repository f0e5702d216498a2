"""Transactions: each thing that a processor did for a payment."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel

from runtime.models.fields import Instant, MinorUnits, Record
from runtime.schema import partition, sort


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
    at: Instant
    by: str


class Transaction(Record, table="transactions", stream=True, frozen=True):
    """One answer of a processor, written in the same commit as the payment's outcome."""

    id: Annotated[str, partition(), sort("gsi-payment"), sort("gsi-unsettled")]
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
    processed_at: Instant
    settlement_id: str | None = None
    settled_at: Instant | None = None
    audit_trail: tuple[AuditStep, ...] = ()
