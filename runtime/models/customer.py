"""Customers: who pays. Every personal field is enciphered under the customer's own data key."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from runtime.models.fields import Instant, Record
from runtime.schema import BlindIndex, Encrypted, partition, sort


class PaymentMethod(BaseModel, frozen=True):
    """A stored way to pay. `token` is the processor's and is never shown."""

    id: str
    type: str
    token: str = Field(repr=False)
    last4: str
    brand: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    bank_name: str | None = None
    account_type: str | None = None
    is_default: bool = False


class Customer(Record, table="customers", stream=True, frozen=True):
    """A merchant's customer. Deleting its data key makes its personal fields unreadable forever."""

    id: Annotated[str, partition(), sort("gsi-merchant")]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    email_index: Annotated[str | None, BlindIndex("email"), partition("gsi-email")] = None
    email: Annotated[str, Encrypted("pii"), Field(repr=False)]
    name: Annotated[str, Encrypted("pii"), Field(repr=False)]
    phone: Annotated[str | None, Encrypted("pii"), Field(repr=False)] = None
    payment_methods: Annotated[tuple[PaymentMethod, ...], Encrypted("pci"), Field(repr=False)] = ()
    default_method: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    failed_attempts: int = 0
    locked_until: Instant | None = None
