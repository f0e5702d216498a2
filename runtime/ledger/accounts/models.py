"""Accounts and their balances."""

from enum import StrEnum
from typing import Annotated

from runtime.core.fields import SignedMinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Row, partition, sort

PROFILE_SHARD = "00"
"""Sort key of the row with the profile and the balance. A hot account has further rows."""


class AccountType(StrEnum):
    """Purpose of an account. `merchant` and `system` accounts are for operators only."""

    CHECKING = "checking"
    SAVINGS = "savings"
    WALLET = "wallet"
    MERCHANT = "merchant"
    SYSTEM = "system"


class AccountStatus(StrEnum):
    """Requests can debit and credit only active accounts."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    CLOSED = "closed"


class Posting(StrEnum):
    """How credits are applied: in the request's transaction, or by the change stream.

    `folded` is the stored name of a hot account.
    """

    IMMEDIATE = "immediate"
    FOLDED = "folded"


class Account(Record, table="accounts", stream=True, frozen=True):
    """An account's profile and balance (shard `00`), or one of a hot account's balance shards.

    The change stream raises credit shards (`01` to `16`). Refunds, chargebacks and settlement lines
    lower debit shards (`d00` to `d63`). The account's balance is the sum of its rows.
    `spendable` = balance - held_out + credit_limit is stored because a DynamoDB condition cannot do
    arithmetic.
    """

    id: Annotated[str, partition(), sort("customer-index")]
    shard: Annotated[str, sort()] = PROFILE_SHARD
    customer_id: Annotated[str | None, partition("customer-index")] = None
    status_bucket: Annotated[str | None, partition("status-index")] = None
    account_number: Annotated[str | None, partition("number-index")] = None
    account_type: Annotated[AccountType, sort("status-index")]
    currency: str
    status: AccountStatus = AccountStatus.ACTIVE
    posting: Posting = Posting.IMMEDIATE
    locked_until: Timestamp | None = None
    balance: SignedMinorUnits = 0
    held_out: SignedMinorUnits = 0
    held_in: SignedMinorUnits = 0
    credit_limit: SignedMinorUnits = 0
    spendable: SignedMinorUnits = 0
    last_operation_id: str | None = None


class AccountNumberGuard(Row, frozen=True):
    """Keeps an account number unique. DynamoDB enforces uniqueness only for keys."""

    id: str
    shard: str = PROFILE_SHARD
    guards: str

    table_schema = Account.table_schema

    @classmethod
    def of(cls, account: Account) -> "AccountNumberGuard":
        """The guard of an account's number."""
        assert account.account_number is not None, f"{account.id} has no number"
        key = cls.key_of(account.merchant_id, account.account_number)
        return cls(id=key, guards=account.id)

    @staticmethod
    def key_of(owner: str, number: str) -> str:
        """Partition key of the guard of `number` among the accounts of `owner`."""
        return f"number#{owner}#{number}"
