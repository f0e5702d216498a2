"""Payments: what a customer is charged, its ceilings, and the lease of whoever is working on it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from runtime.core.fields import MinorUnits, SignedMinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import UnlessDefault, partition, shown_in, sort

MAX_TRANSACTIONS = 100
"""Transactions of one payment: as many as one BatchGetItem reads."""


class PaymentStatus(StrEnum):
    """Where a payment stands; the allowed steps are in runtime.payments.rules."""

    PENDING = "pending"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class DisputeStatus(StrEnum):
    """Where a dispute stands; won and lost are final."""

    OPENED = "opened"
    WON = "won"
    LOST = "lost"


class Dispute(BaseModel, frozen=True):
    """A customer's bank takes money back. `withheld` is what can not be refunded meanwhile.

    `amount` is what the bank disputes; `withdrawn`, `returned` and `fee` are what is booked of it
    so far in total, by the transfers `transfer_ids`, in order. `since` is when it began. What was
    found of it in settlement files: `settled_withdrawn`, `settled_returned`, `settled_fee`, and
    `learned_fee`, which the processor had not reported before and which is not part of `fee`.
    """

    status: DisputeStatus
    amount: MinorUnits
    fee: MinorUnits = 0
    withheld: MinorUnits = 0
    withdrawn: MinorUnits = 0
    returned: MinorUnits = 0
    settled_withdrawn: MinorUnits = 0
    settled_returned: MinorUnits = 0
    settled_fee: SignedMinorUnits = 0
    learned_fee: MinorUnits = 0
    since: Timestamp | None = None
    transfer_ids: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, stored: Any) -> Any:
        """Rows of before said only whether the whole amount was withdrawn and returned."""
        if not isinstance(stored, dict):
            return stored
        sums = {
            name: stored.get("amount", 0) if stored[name] else 0
            for name in ("withdrawn", "returned")
            if isinstance(stored.get(name), bool)
        }
        return {**stored, **sums}


_LISTED = ("gsi-merchant", "gsi-merchant-status", "gsi-customer")


class Payment(Record, table="payments", stream=True, frozen=True):
    """One charge. It enters `gsi-merchant` with its outcome.

    It stands in `gsi-open` while somebody has to come back to it: its charge is not answered, or
    its authorization will expire. `closing_id` is the void or final capture that is under way, and
    keeps every other capture and void out. captured = refunded + pending refund + refundable +
    withheld by disputes; authorized = capturable + pending capture + captured, until it is closed.

    Lists read the indexes for order and filters and then the rows themselves, so the indexes carry
    only what is filtered (status, amount) and what a summary adds up.

    An intent of ordinary size is below 1 KB: a byte more, and both of its writes cost double.
    """

    id: Annotated[
        str, partition(), sort("gsi-merchant"), sort("gsi-merchant-status"), sort("gsi-customer")
    ]
    merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
    merchant_status_bucket: Annotated[str | None, partition("gsi-merchant-status")] = None
    customer_id: Annotated[str | None, partition("gsi-customer")] = None
    idempotency_scope: Annotated[str | None, partition("gsi-idempotency")] = None
    open_bucket: Annotated[str | None, partition("gsi-open")] = None
    next_action_at: Annotated[Timestamp | None, sort("gsi-open")] = None

    status: Annotated[PaymentStatus, shown_in("gsi-merchant", "gsi-customer")]
    amount: Annotated[MinorUnits, shown_in(*_LISTED)]
    currency: Annotated[str, shown_in("gsi-merchant")]
    amount_captured: Annotated[MinorUnits, shown_in("gsi-merchant"), UnlessDefault()] = 0
    amount_refunded: Annotated[MinorUnits, shown_in("gsi-merchant"), UnlessDefault()] = 0
    fee: Annotated[MinorUnits, shown_in("gsi-merchant"), UnlessDefault()] = 0

    capture_method: Annotated[Literal["automatic", "manual"], UnlessDefault()] = "automatic"
    capturable_minor: MinorUnits = 0
    refundable_minor: Annotated[MinorUnits, UnlessDefault()] = 0
    pending_capture_minor: Annotated[MinorUnits, UnlessDefault()] = 0
    pending_refund_minor: Annotated[MinorUnits, UnlessDefault()] = 0
    payment_method: str
    processor: str
    processor_account: str | None = None
    """Where it was sent, as the processor calls the account: everything about it is asked there."""
    description: str | None = None
    statement_descriptor: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    failure_code: str | None = None
    failure_reason: str | None = None
    dispute_status: DisputeStatus | None = None
    disputes: dict[str, Dispute] | None = None
    transaction_ids: tuple[str, ...] = ()
    charge_id: str | None = None
    closing_id: str | None = None
    authorization_expires_at: Timestamp | None = None
    follows_failure: bool | None = None
    """Whether the customer's last attempt had failed: then a success ends the count of failures."""

    lease_owner: str | None = None
    lease_expires_at: Timestamp | None = None

    @property
    def claim_key(self) -> str | None:
        """Key of the idempotency claim that the payment was made under."""
        return self.idempotency_scope
