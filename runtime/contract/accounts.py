"""Shapes of the account routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from runtime.contract.base import Answer, Body, Identifier, Page, PageQuery
from runtime.models.account import AccountStatus, AccountType, Posting
from runtime.models.currency import CurrencyCode
from runtime.models.fields import Instant, MinorUnits

_OPERATORS_TYPES = (AccountType.MERCHANT, AccountType.SYSTEM)


class AccountRequest(Body, frozen=True):
    """A new account; an opening balance is booked as a transfer, and needs an Idempotency-Key."""

    account_number: Annotated[str | None, StringConstraints(pattern=r"^[A-Za-z0-9-]{4,34}$")] = None
    customer_id: Identifier | None = None
    account_type: AccountType
    currency: CurrencyCode
    opening_balance: Annotated[MinorUnits, Field(description="For operators.")] = 0
    credit_limit: Annotated[MinorUnits, Field(description="For operators.")] = 0
    posting: Annotated[Posting, Field(description="`folded` is for operators.")] = Posting.IMMEDIATE

    @classmethod
    def reserved_for_operators(cls, document: Mapping[str, Any]) -> str | None:
        """Platform accounts, credit and folding are given by operators."""
        if document.get("account_type") in _OPERATORS_TYPES:
            return "account_type"
        for member in ("opening_balance", "credit_limit"):
            if document.get(member, 0) != 0:
                return member
        if document.get("posting", Posting.IMMEDIATE) == Posting.FOLDED:
            return "posting"
        return super().reserved_for_operators(document)


class AccountAnswer(Answer, frozen=True):
    """An account; amounts in minor units of its currency, `formatted_balance` for people."""

    id: str
    merchant_id: str
    customer_id: str | None
    account_number: str | None
    account_type: AccountType
    currency: str
    status: AccountStatus
    locked_until: Instant | None
    posting: Posting
    balance: int
    held_out: int
    held_in: int
    available: int = Field(validation_alias="spendable")
    credit_limit: int
    formatted_balance: str
    as_of: Annotated[
        Instant | None, Field(description="When a folded account was last brought up to date.")
    ] = None
    version: int
    created_at: Instant
    updated_at: Instant


class AccountChange(Body, frozen=True):
    """Activate, deactivate, unlock or close: the path says it all."""


class AccountQuery(PageQuery, frozen=True):
    """By customer, or by status and type together."""

    customer_id: Identifier | None = None
    status: AccountStatus | None = None
    account_type: AccountType | None = None


class AccountList(Page[AccountAnswer], frozen=True):
    """A page of accounts, newest first."""


class EntryAnswer(Answer, frozen=True):
    """One line of a statement: what a transfer changed, and the exact balance after it.

    `balance_after` is null on folded accounts: many transfers are added to them at once.
    """

    transfer_id: str
    amount: int
    balance_after: int | None
    sequence: str
    created_at: Instant


class EntryQuery(PageQuery, frozen=True):
    """Pages of a statement."""


class EntryList(Page[EntryAnswer], frozen=True):
    """A page of a statement, newest first."""
