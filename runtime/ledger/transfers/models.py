"""Transfers: money moved between accounts in one commit, or held to be moved later."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from runtime.core.fields import MinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import UnlessDefault, partition, shown_in, sort

MAX_LEGS = 20
"""Legs per transfer: with the claim and the transfer row far below DynamoDB's 100 actions."""


class TransferStatus(StrEnum):
    """`pending` is an open hold; every other status is final."""

    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Leg(BaseModel, frozen=True, defer_build=True):
    """`amount` minor units from one account to another, in the transfer's currency."""

    from_account_id: str
    to_account_id: str
    amount: MinorUnits


class Transfer(Record, table="transfers", stream=True, frozen=True):
    """Money moved between accounts in one commit, or held.

    A transfer is immutable once its status is final; a correction is a new transfer.
    `operation_id` is the operation that set the current status: the transfer itself, or the post,
    void or expiry of a hold.
    `folded_accounts` are hot accounts that the change stream credits from this row.
    `debited_accounts` are hot accounts whose `debit_shard` this commit lowers instead of row `00`.
    `held_in_counted`: `held_in` of the hot accounts includes this hold.
    An open hold is listed in `expiry-index`. A settlement's posting books the lines
    `settlement_lines` of `settlement_id`; each line lists the transfer in its `bookings`.
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
