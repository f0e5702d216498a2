"""Accounts and their balances."""

from enum import StrEnum
from typing import Annotated, Final

from runtime.core.fields import SignedMinorUnits, Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import Row, UnlessDefault, partition, sort

PROFILE_SHARD = "00"
"""Sort key of the row with the profile and the balance. A hot account has further rows."""
NUMBER_GUARD_PREFIX: Final = "number#"
"""Of the partition keys of AccountNumberGuard. Ids of accounts begin with `acc_`."""
FIRST_CREDIT_SHARDS: Final = 16
"""Credit shards of a new hot account."""


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

    The `id` of a balance shard is the account's id with the shard, such as `acc_x#07`: all shards
    of a hot account would be too much for one partition key. The change stream raises credit shards
    (`01` to `credit_shards` of row `00`, which only grows). Refunds, chargebacks and settlement
    lines lower debit shards (`d00` to `d63`). The account's balance is the sum of its rows.
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
    credit_shards: Annotated[int, UnlessDefault()] = FIRST_CREDIT_SHARDS
    last_operation_id: str | None = None

    @property
    def account_id(self) -> str:
        """The account's id, also on a balance shard."""
        return account_of_row(self.id, self.shard)


def row_id(account_id: str, shard: str) -> str:
    """Partition key of a row of an account: of a balance shard it is `acc_x#07`."""
    return account_id if shard == PROFILE_SHARD else f"{account_id}#{shard}"


def row_key(account_id: str, shard: str = PROFILE_SHARD) -> dict[str, str | int]:
    """Key of a row of an account."""
    return {"id": row_id(account_id, shard), "shard": shard}


def account_of_row(row: str, shard: str) -> str:
    """The account's id, from a row's partition key and shard."""
    return row.removesuffix(f"#{shard}")


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
        return f"{NUMBER_GUARD_PREFIX}{owner}#{number}"
