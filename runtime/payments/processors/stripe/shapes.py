"""What we read of Stripe's objects, and nothing else of them.

Named and typed as in Stripe's API reference. A field that Stripe expands only on request is the
object or its id.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

StripeId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""The maximum length that Stripe documents for its ids (docs.stripe.com/upgrades). They are index
keys: one of more than 2,048 bytes would make the whole commit of an outcome invalid."""


class _Shape(BaseModel, frozen=True):
    """Base of the shapes: what Stripe adds later does no harm."""


class BalanceTransaction(_Shape, frozen=True):
    """Money that came into or left the merchant's balance at Stripe, in the balance's currency."""

    amount: int
    fee: int
    currency: str


class Charge(_Shape, frozen=True):
    """One attempt to charge. `balance_transaction` is null until the money is taken."""

    id: StripeId
    balance_transaction: BalanceTransaction | str | None = None


class Failure(_Shape, frozen=True):
    """An error, as an answer or as what a PaymentIntent remembers of its last attempt."""

    type: str | None = None
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    param: str | None = None
    payment_intent: PaymentIntent | None = None


class PaymentIntent(_Shape, frozen=True):
    """A charge of ours, from its authorization on. `amount_received`: what was captured."""

    id: StripeId
    status: str
    currency: str
    amount: int | None = None
    amount_received: int | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    latest_charge: Charge | str | None = None
    last_payment_error: Failure | None = None


class Refund(_Shape, frozen=True):
    """Money on its way back to the customer."""

    id: StripeId
    status: str
    amount: int = 0
    currency: str = ""
    created: int = 0
    payment_intent: str | None = None
    pending_reason: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None


class Dispute(_Shape, frozen=True):
    """A charge that the customer's bank questions. The transactions are what moved for it."""

    id: StripeId
    status: str
    amount: int
    currency: str
    created: int = 0
    payment_intent: PaymentIntent | str | None = None
    balance_transactions: tuple[BalanceTransaction, ...] = ()


class Account(_Shape, frozen=True):
    """The account that a key belongs to."""

    id: str


class Balance(_Shape, frozen=True):
    """A balance at Stripe; only its mode is read."""

    livemode: bool


class EventData(_Shape, frozen=True):
    """What an event is about, as it stood then."""

    object: dict[str, Any]


class Event(_Shape, frozen=True):
    """A notification. `created` in seconds since the epoch."""

    id: StripeId
    type: str
    created: int
    data: EventData


class ErrorBody(_Shape, frozen=True):
    """The body of an answer that is no success."""

    error: Failure
