"""Request and response shapes of the account routes."""

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
"""The owner's own account number, unique among the owner's accounts."""
MAX_MOMENT = 64
"""Longest timestamp, in characters: enough for forty fractional digits."""
_OPERATORS_TYPES = (AccountType.MERCHANT, AccountType.SYSTEM)


class AccountRequest(Body, frozen=True):
    """A new account. An opening balance is booked as a transfer and needs an Idempotency-Key."""

    account_number: AccountNumber | None = None
    customer_id: Identifier | None = None
    account_type: AccountType
    currency: CurrencyCode
    opening_balance: Annotated[MinorUnits, Field(description="Operators only.")] = 0
    credit_limit: Annotated[MinorUnits, Field(description="Operators only.")] = 0
    posting: Annotated[
        Posting, Field(description="`folded` makes a hot account; operators only.")
    ] = Posting.IMMEDIATE

    @classmethod
    def reserved_for_operators(cls, document: Mapping[str, Any]) -> str | None:
        """Only operators set platform account types, credit limits and hot accounts."""
        if document.get("account_type") in _OPERATORS_TYPES:
            return "account_type"
        for member in ("opening_balance", "credit_limit"):
            if document.get(member, 0) != 0:
                return member
        if document.get("posting", Posting.IMMEDIATE) == Posting.FOLDED:
            return "posting"
        return super().reserved_for_operators(document)


class AccountAnswer(Answer, frozen=True):
    """An account. Amounts are in minor units; `formatted_balance` is for display."""

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
        Timestamp | None, Field(description="When a hot account's balance was last updated.")
    ] = None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class AccountChange(Body, frozen=True):
    """Empty body of the activate, deactivate, unlock and close routes."""


class AccountQuery(PageQuery, frozen=True):
    """Filter by number, by customer, or by status and type. Further filters narrow the result.

    An operator without a merchant_id searches for a number among the accounts of all merchants.
    """

    account_number: AccountNumber | None = None
    customer_id: Identifier | None = None
    status: AccountStatus | None = None
    account_type: AccountType | None = None


class AccountList(Page[AccountAnswer], frozen=True):
    """A page of accounts, newest first."""


class EntryAnswer(Answer, frozen=True):
    """One line of a statement: the amount of a transfer and the exact balance after it.

    `balance_after` is null on hot accounts, which apply many transfers at once.
    """

    transfer_id: str
    amount: int
    balance_after: int | None
    sequence: str
    created_at: Timestamp


class EntryQuery(PageQuery, frozen=True):
    """Pagination of a statement."""


class EntryList(Page[EntryAnswer], frozen=True):
    """A page of a statement, newest first."""


class BalanceQuery(Query, frozen=True):
    """The time to read the balance at. It must not be in the future; precision is milliseconds."""

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
            description="ISO 8601 timestamp in UTC. Fractional seconds are truncated to"
            " milliseconds."
        ),
    ]


class BalanceAnswer(Answer, frozen=True):
    """An account's balance at a point in time, in minor units of its currency.

    `sequence` is the last entry up to that time. It is null before the first entry and on hot
    accounts, whose balance is a sum over several rows. Credits reach a hot account within seconds.
    A request that began before `at` may commit up to a minute later.
    """

    balance: Annotated[int, Field(description="Minor units.")]
    at: Annotated[Timestamp, Field(description="The requested time, truncated to milliseconds.")]
    sequence: Annotated[
        str | None,
        Field(
            description="Sequence of the last entry up to that time; null before the first entry"
            " and on hot accounts."
        ),
    ]


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createAccount",
        method="POST",
        path="/v1/accounts",
        function="process",
        summary="Open an account",
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
        summary="List an account's entries, newest first",
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
        summary="Read an account's balance at a point in time",
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
        summary="Stop new transfers from and to an account",
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
        summary="Allow transfers from and to an account again",
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
        summary="Unlock an account before its lock expires",
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
