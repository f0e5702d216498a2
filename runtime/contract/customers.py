"""Shapes of the customer routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from runtime.contract.base import Answer, Body, Metadata, ShortText
from runtime.contract.merchants import Email
from runtime.models.fields import Instant


class CustomerRequest(Body, frozen=True):
    """A new customer."""

    name: Annotated[ShortText, Field(repr=False)]
    email: Annotated[Email, Field(repr=False)]
    phone: Annotated[
        str | None, StringConstraints(pattern=r"^\+?[0-9 ()./-]{3,30}$"), Field(repr=False)
    ] = None
    metadata: Metadata = Field(default_factory=dict)


class StoredMethod(Answer, frozen=True):
    """A stored way to pay, without its token."""

    id: str
    type: str
    last4: str
    brand: str | None
    expiry_month: int | None
    expiry_year: int | None
    bank_name: str | None
    account_type: str | None
    is_default: bool


class CustomerAnswer(Answer, frozen=True):
    """A customer."""

    id: str
    merchant_id: str
    name: str = Field(repr=False)
    email: str = Field(repr=False)
    phone: str | None = Field(repr=False)
    payment_methods: tuple[StoredMethod, ...]
    default_method: str | None
    metadata: dict[str, str]
    locked_until: Instant | None
    version: int
    created_at: Instant
    updated_at: Instant
