"""The fields of Stripe's objects that we use.

Names and types are those of Stripe's API reference. An expandable field is the object or its id.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

StripeId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""The maximum length that Stripe documents for its ids (docs.stripe.com/upgrades). They are index
keys: one of more than 2,048 bytes would make the whole commit of an outcome invalid."""


class _Shape(BaseModel, frozen=True, hide_input_in_errors=True, defer_build=True):
    """Base of the shapes. Unknown fields are ignored."""


class BalanceTransaction(_Shape, frozen=True):
    """A change of the merchant's balance at Stripe, in the balance's currency."""

    amount: int
    fee: int
    currency: str


class Charge(_Shape, frozen=True):
    """One attempt to charge. `balance_transaction` is null until the charge is captured."""

    id: StripeId
    balance_transaction: BalanceTransaction | str | None = None


class Failure(_Shape, frozen=True):
    """An error in a response, or the last error of a PaymentIntent."""

    type: str | None = None
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    param: str | None = None
    payment_intent: PaymentIntent | None = None


class RedirectToUrl(_Shape, frozen=True):
    """Where a customer authenticates, if the charge was given a `return_url`."""

    url: str | None = Field(default=None, repr=False)


class NextAction(_Shape, frozen=True):
    """What the customer has to do. Only the member that `type` names is set."""

    type: str
    redirect_to_url: RedirectToUrl | None = None


class PaymentIntent(_Shape, frozen=True):
    """A charge. `amount_received`: the captured amount."""

    id: StripeId
    status: str
    currency: str
    amount: int | None = None
    amount_received: int | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    latest_charge: Charge | str | None = None
    last_payment_error: Failure | None = None
    next_action: NextAction | None = None
    client_secret: str | None = Field(default=None, repr=False)


class Refund(_Shape, frozen=True):
    """A refund."""

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
    """A dispute, with the balance transactions that it caused."""

    id: StripeId
    status: str
    amount: int
    currency: str
    created: int = 0
    payment_intent: PaymentIntent | str | None = None
    balance_transactions: tuple[BalanceTransaction, ...] = ()


class Account(_Shape, frozen=True):
    """The Stripe account that a key belongs to."""

    id: str


class Balance(_Shape, frozen=True):
    """A Stripe balance, of which only the mode is used."""

    livemode: bool


class EventData(_Shape, frozen=True):
    """The object of an event, in its state at that time."""

    object: dict[str, Any]


class Event(_Shape, frozen=True):
    """A notification. `created`: in epoch seconds."""

    id: StripeId
    type: str
    created: int
    data: EventData


class ErrorBody(_Shape, frozen=True):
    """The body of an error response."""

    error: Failure
