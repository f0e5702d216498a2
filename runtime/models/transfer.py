"""Transfers: money moved between accounts in one commit, or held to be moved later."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from runtime.models.fields import Instant, MinorUnits, Record
from runtime.schema import partition, sort

MAX_LEGS = 20
"""Legs of one transfer: with the claim and the transfer row far below DynamoDB's 100 actions."""


class TransferStatus(StrEnum):
    """Pending is a hold; everything else is final."""

    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Leg(BaseModel, frozen=True):
    """`amount` minor units from one account to another, in the transfer's currency."""

    from_account_id: str
    to_account_id: str
    amount: MinorUnits


class Transfer(Record, table="transfers", stream=True, frozen=True):
    """Money moved between accounts in one commit.

    Immutable once final: a correction is a new transfer.
    """

    id: Annotated[
        str, partition(), sort("customer-index"), sort("merchant-index"), sort("status-index")
    ]
    customer_id: Annotated[str | None, partition("customer-index")] = None
    merchant_bucket: Annotated[str | None, partition("merchant-index")] = None
    status_bucket: Annotated[str | None, partition("status-index")] = None
    legs: Annotated[tuple[Leg, ...], Field(min_length=1, max_length=MAX_LEGS)]
    amount: MinorUnits
    currency: str
    status: TransferStatus
    posted_amount: MinorUnits | None = None
    failure_code: str | None = None
    failure_reason: str | None = None
    expires_at: Instant | None = None
    processed_at: Instant | None = None
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    payment_id: str | None = None
    settlement_id: str | None = None
