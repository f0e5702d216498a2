"""Shapes of the account routes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import Field

from runtime.core.currency import CurrencyCode
from runtime.core.fields import MinorUnits, Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.forms import formed
from runtime.http.shapes import Answer, Body, Identifier, Page, PageQuery, Query
from runtime.ledger.accounts.models import AccountStatus, AccountType, Posting

AccountNumber = Annotated[
    str, formed(r"^[A-Za-z0-9-]{4,34}$", "must be 4 to 34 letters, digits and hyphens")
]
"""The owner's own number of an account, unique among its accounts."""
MAX_MOMENT = 64
"""Characters of a time: enough for forty fractional digits."""
_OPERATORS_TYPES = (AccountType.MERCHANT, AccountType.SYSTEM)


class AccountRequest(Body, frozen=True):
    """A new account; an opening balance is booked as a transfer, and needs an Idempotency-Key."""

    account_number: AccountNumber | None = None
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
    locked_until: Timestamp | None
    posting: Posting
    balance: int
    held_out: int
    held_in: int
    available: int = Field(validation_alias="spendable")
    credit_limit: int
    formatted_balance: str
    as_of: Annotated[
        Timestamp | None, Field(description="When a folded account was last brought up to date.")
    ] = None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class AccountChange(Body, frozen=True):
    """Activate, deactivate, unlock or close: the path says it all."""


class AccountQuery(PageQuery, frozen=True):
    """By number, by customer, or by status and type together; what else is given must be so too.

    An operator who gives no merchant_id finds a number among the accounts of all merchants.
    """

    account_number: AccountNumber | None = None
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
    created_at: Timestamp


class EntryQuery(PageQuery, frozen=True):
    """Pages of a statement."""


class EntryList(Page[EntryAnswer], frozen=True):
    """A page of a statement, newest first."""


class BalanceQuery(Query, frozen=True):
    """The moment to read: not in the future, at most as exact as a millisecond."""

    at: Annotated[
        str,
        formed(
            # A plus sign that a client did not escape arrives as a space.
            r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+ ]00:00)?$",
            "must look like 2026-11-29T10:00:00Z (UTC)",
            echoes=True,
            max_length=MAX_MOMENT,
        ),
        Field(
            description="An ISO 8601 time in UTC with any number of fractional digits; of these"
            " three count, the rest is cut off."
        ),
    ]


class BalanceAnswer(Answer, frozen=True):
    """What an account's balance was at a moment, in minor units of its currency.

    `sequence` is that of the last entry until then: null before there was one, and on folded
    accounts, whose balance is a sum over entries of several rows. Those are exact for what has been
    posted to them: credits arrive within seconds. A request that began before `at` may be committed
    until a minute later.
    """

    balance: Annotated[int, Field(description="Minor units.")]
    at: Annotated[Timestamp, Field(description="The moment asked for, cut off to milliseconds.")]
    sequence: Annotated[
        str | None,
        Field(
            description="Of the last entry until then; null before the first one, and on"
            " folded accounts."
        ),
    ]


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createAccount",
        method="POST",
        path="/v1/accounts",
        function="process",
        summary="Open an account; an opening balance is booked as a transfer",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        body=AccountRequest,
        idempotent="honoured",
        answers={HTTPStatus.CREATED: AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="getAccount",
        method="GET",
        path="/v1/accounts/{id}",
        function="query",
        summary="Read an account",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        answers={HTTPStatus.OK: AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listAccounts",
        method="GET",
        path="/v1/accounts",
        function="query",
        summary="List accounts by number, by customer, or by status and type, newest first",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        query=AccountQuery,
        answers={HTTPStatus.OK: AccountList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listEntries",
        method="GET",
        path="/v1/accounts/{id}/entries",
        function="query",
        summary="An account's statement, newest first",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        query=EntryQuery,
        answers={HTTPStatus.OK: EntryList},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="getBalance",
        method="GET",
        path="/v1/accounts/{id}/balance",
        function="query",
        summary="An account's balance at a moment",
        tag="accounts",
        permission=Permission.ACCOUNTS,
        query=BalanceQuery,
        answers={HTTPStatus.OK: BalanceAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="deactivateAccount",
        method="POST",
        path="/v1/accounts/{id}/deactivate",
        function="process",
        summary="Let no transfer begin from or to an account",
        tag="accounts",
        permission=Permission.ADMIN,
        body=AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="activateAccount",
        method="POST",
        path="/v1/accounts/{id}/activate",
        function="process",
        summary="Let an account take transfers again",
        tag="accounts",
        permission=Permission.ADMIN,
        body=AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="unlockAccount",
        method="POST",
        path="/v1/accounts/{id}/unlock",
        function="process",
        summary="End an account's lock before its time",
        tag="accounts",
        permission=Permission.ADMIN,
        body=AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Endpoint(
        operation="closeAccount",
        method="POST",
        path="/v1/accounts/{id}/close",
        function="process",
        summary="Close an account permanently; its balance must be zero",
        tag="accounts",
        permission=Permission.ADMIN,
        body=AccountChange,
        body_optional=True,
        idempotent="honoured",
        answers={HTTPStatus.OK: AccountAnswer},
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
