"""Payments: amounts, status, ceilings for captures and refunds, and leases."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from runtime.core.fields import MinorUnits, SignedMinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import UnlessDefault, partition, shown_in, sort

MAX_TRANSACTIONS = 100
"""Transactions of one payment: as many as one BatchGetItem reads."""


class PaymentStatus(StrEnum):
    """The status of a payment; `succeeded`, `failed` and `canceled` are final.

    `processing`: the charge was sent to the processor. `unknown`: the processor has not confirmed
    the charge yet, and is asked again. `requires_action`: the customer must authenticate before the
    charge is approved. `requires_capture`: the amount is authorized, and can be captured or
    canceled. `pending` is reserved for deferred charges; no payment has it now.
    """

    PENDING = "pending"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class DisputeStatus(StrEnum):
    """The status of a dispute; won and lost are final."""

    OPENED = "opened"
    WON = "won"
    LOST = "lost"


class Dispute(BaseModel, frozen=True, defer_build=True):
    """A dispute: the customer's bank takes money back. Amounts in minor units.

    `amount`: the disputed amount. `withheld`: the part that cannot be refunded meanwhile.
    `withdrawn`, `returned`, `fee`: the totals booked so far, by the transfers `transfer_ids`.
    `since`: when the dispute began. `settled_*`: the totals found in settlement files.
    `learned_fee`: a fee that only a settlement file reported; it is not part of `fee`. Negative
    while a file has returned a fee in one line, and not yet charged it in another.
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
    learned_fee: SignedMinorUnits = 0
    since: Timestamp | None = None
    transfer_ids: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, stored: Any) -> Any:
        """Older rows have booleans: whether the full amount was withdrawn or returned."""
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
    """A payment: one charge or authorization. It enters `gsi-merchant` with its outcome.

    It is in `gsi-open` while it needs further work: its charge is unanswered or waits for the
    customer, or its authorization will expire. That index also lists payments in processing, which
    are in no other list of the merchant. `gsi-merchant-status` lists the other statuses than
    succeeded. `gsi-reference` lists payments with a `reference` from their intent on, in every
    status. `closing_id`: the void or final capture in progress, which excludes other captures
    and voids.

    Invariants: captured = refunded + pending refund + refundable + withheld by disputes;
    authorized = capturable + pending capture + captured, until the payment is closed.

    Lists read an index for order and filters, and then the rows. So the indexes project only the
    filtered attributes (status, amount) and the amounts of summaries.

    An intent of ordinary size is below 1 KB. Above that, each of its writes costs double.
    """

    id: Annotated[
        str,
        partition(),
        sort("gsi-merchant"),
        sort("gsi-merchant-status"),
        sort("gsi-customer"),
        sort("gsi-reference"),
    ]
    merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
    merchant_status_bucket: Annotated[str | None, partition("gsi-merchant-status")] = None
    customer_id: Annotated[str | None, partition("gsi-customer")] = None
    idempotency_scope: Annotated[str | None, partition("gsi-idempotency")] = None
    reference_bucket: Annotated[str | None, partition("gsi-reference")] = None
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
    """The processor's id of the account that the charge was sent to, and that is asked about it."""
    reference: str | None = None
    """The shop's own name for the payment, such as its order number; need not be unique."""
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
    action_expires_at: Timestamp | None = None
    """Until when the customer may act; then the charge is canceled at the processor."""
    follows_failure: bool | None = None
    """Whether the customer's last attempt had failed; a success then resets its failures."""

    lease_owner: str | None = None
    lease_expires_at: Timestamp | None = None

    @property
    def claim_key(self) -> str | None:
        """Key of the payment's idempotency claim."""
        return self.idempotency_scope
