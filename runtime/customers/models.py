"""Customers. Personal fields are encrypted under the customer's own data keys."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import BlindIndex, Encrypted, partition, sort

MAX_PAYMENT_METHODS = 20
"""Payment methods per customer. They are read and written as one value."""


class MethodType(StrEnum):
    """The kind of a stored payment method."""

    CARD = "card"
    BANK_ACCOUNT = "bank_account"


class PaymentMethod(BaseModel, frozen=True, defer_build=True):
    """A stored payment method, without the processor's token, which is stored separately."""

    id: str
    type: MethodType
    last4: str
    brand: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    bank_name: str | None = None
    account_type: str | None = None


class CustomerState(Record, frozen=True):
    """A customer without personal fields. No data key is needed to read it."""

    id: Annotated[str, partition(), sort("gsi-merchant"), sort("gsi-email")]
    merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
    failed_attempts: int = 0
    locked_until: Timestamp | None = None
    erased_at: Timestamp | None = None
    """When the customer was erased. Its row remains, without personal fields."""


class CustomerProfile(CustomerState, frozen=True):
    """A customer without payment tokens. The key for card data is not needed to read it."""

    email_index: Annotated[str | None, BlindIndex("email"), partition("gsi-email")] = None
    email: Annotated[str | None, Encrypted("pii"), Field(repr=False)] = None
    name: Annotated[str | None, Encrypted("pii"), Field(repr=False)] = None
    phone: Annotated[str | None, Encrypted("pii"), Field(repr=False)] = None
    payment_methods: Annotated[tuple[PaymentMethod, ...], Encrypted("pii"), Field(repr=False)] = ()
    default_method: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict, repr=False)


class Customer(CustomerProfile, table="customers", stream=True, frozen=True):
    """A merchant's customer. Deleting its data keys makes its personal fields unreadable.

    `payment_tokens`: the processor's tokens by payment method id; never returned or logged.
    """

    payment_tokens: Annotated[dict[str, str], Encrypted("pci"), Field(repr=False)] = Field(
        default_factory=dict
    )
