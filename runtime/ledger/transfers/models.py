"""Transfers: money moved between accounts in one commit, or held to be moved later."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from runtime.core.fields import MinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import UnlessDefault, partition, shown_in, sort

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

    Immutable once final: a correction is a new transfer. `operation_id` names what brought it to
    its present state: the transfer itself, or the post, cancel or expiry of a hold.
    `folded_accounts` are those whose change is not in this commit: the change stream folds it from
    this row. `debited_accounts` are hot accounts whose row `debit_shard` this commit lowers instead
    of row `00`. `held_in_counted`: this hold stands in `held_in` of its folded accounts as well. A
    hold stands in `expiry-index` until it is resolved. A posting of a settlement books all lines
    `settlement_lines` of `settlement_id`; each of them names it in its `bookings`.
    """

    id: Annotated[
        str, partition(), sort("customer-index"), sort("merchant-index"), sort("status-index")
    ]
    customer_id: Annotated[str | None, partition("customer-index")] = None
    merchant_bucket: Annotated[str | None, partition("merchant-index")] = None
    status_bucket: Annotated[str | None, partition("status-index")] = None
    hold_bucket: Annotated[str | None, partition("expiry-index")] = None
    operation_id: str
    folded_accounts: tuple[str, ...] = ()
    debited_accounts: Annotated[tuple[str, ...], UnlessDefault()] = ()
    debit_shard: str | None = None
    held_in_counted: Annotated[bool, UnlessDefault()] = False
    legs: Annotated[tuple[Leg, ...], Field(min_length=1, max_length=MAX_LEGS)]
    amount: MinorUnits
    currency: str
    status: Annotated[TransferStatus, shown_in("customer-index", "merchant-index")]
    posted_amount: MinorUnits | None = None
    failure_code: str | None = None
    failure_reason: str | None = None
    expires_at: Annotated[Timestamp | None, sort("expiry-index")] = None
    processed_at: Timestamp | None = None
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    payment_id: str | None = None
    settlement_id: str | None = None
    settlement_lines: Annotated[tuple[int, ...], UnlessDefault()] = ()
