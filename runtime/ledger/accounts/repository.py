"""The accounts table: profiles, balances, and guards that keep account numbers unique."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel

from runtime.core.echo import echoed
from runtime.core.errors import AlreadyExists, NotFound, StaleWrite
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.customers.models import Customer
from runtime.customers.repository import customer_of
from runtime.dynamodb.codec import Item
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Condition, Write, absent, change, check, equals, put
from runtime.dynamodb.expressions import below as older_than
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.ledger.accounts.models import (
    NUMBER_GUARD_PREFIX,
    Account,
    AccountNumberGuard,
    AccountType,
    row_key,
)
from runtime.ledger.transfers.models import Transfer
from runtime.streams.images import text_of


class AccountEntry(BaseModel, frozen=True, defer_build=True):
    """An account as projected in the list indexes."""

    id: str
    shard: str


def is_number_guard(item: Item) -> bool:
    """Whether an item of the accounts table is an AccountNumberGuard, which has no balance.

    By its key: any attribute could be added to an account by hand, whose changes nothing would
    record from then on.
    """
    return text_of(item, "id").startswith(NUMBER_GUARD_PREFIX)


class AccountRepository:
    """The accounts table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        account: Account,
        opening: Transfer | None,
        claim: IdempotencyRecord | None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Store a new account and the transfer of its opening balance, if any.

        Raises AlreadyClaimed, NotFound (customer), AlreadyExists (number).
        """
        writes: list[Write] = [put(account).when(absent("id"))]
        if opening is not None:
            writes.append(put(opening).when(absent("id")))
        if account.account_number is not None:
            guard = AccountNumberGuard.of(account)
            writes.append(put(guard).when(absent("id")))
        if account.customer_id is not None:
            owned = customer_of(account.merchant_id)
            writes.append(check(Customer, {"id": account.customer_id}, *owned))
        try:
            create_once(self._store, writes, claim, token=token, now=now)
        except TransactionRefused as refused:
            if account.customer_id is not None and len(writes) - 1 in refused.failed:
                raise NotFound(
                    f"No such customer: {echoed(account.customer_id)}",
                    param="customer_id",
                ) from refused
            raise AlreadyExists(
                "account_number is already used by another account of this merchant",
                param="account_number",
            ) from refused

    def alter(
        self,
        before: Account,
        after: Account,
        claim: IdempotencyRecord | None,
        *,
        conditions: Sequence[Condition] = (),
        token: str,
        now: datetime,
    ) -> None:
        """Update the account from `before` to `after`. Raises AlreadyClaimed, StaleWrite."""
        step = change(before, after).when(equals("version", before.version), *conditions)
        try:
            create_once(self._store, [step], claim, token=token, now=now)
        except TransactionRefused as refused:
            raise StaleWrite("accounts", f"{before.id} was changed by another writer") from refused

    def get(self, account_id: str, scope: Scope) -> Account | None:
        """Row 00 of an account, strongly consistent."""
        return self._store.get(Account, row_key(account_id), Account, scope)

    def get_many(self, account_ids: Sequence[str], scope: Scope) -> list[Account]:
        """The accounts that exist, in the given order; at most MAX_TRANSACTION_ITEMS ids."""
        if not account_ids:
            return []
        return self._store.get_many(
            Account, [row_key(each) for each in account_ids], Account, scope
        )

    def of_customer(
        self, customer_id: str, *, after_id: str | None, page_size: int
    ) -> Iterator[AccountEntry]:
        """A customer's accounts, newest first, older than `after_id`."""
        older = () if after_id is None else (older_than("id", after_id),)
        return self._store.query(
            Account,
            AccountEntry,
            [equals("customer_id", customer_id), *older],
            index="customer-index",
            newest_first=True,
            page_size=page_size,
        )

    def of_owners_number(self, owner: str, number: str) -> str | None:
        """Id of the owner's account with this number, strongly consistent (read by its guard)."""
        key = row_key(AccountNumberGuard.key_of(owner, number))
        guard = self._store.get(Account, key, AccountNumberGuard, UNRESTRICTED)
        return None if guard is None else guard.guards

    def of_number(self, number: str, start_after: str | None, page_size: int) -> Iterator[str]:
        """Ids of all owners' accounts with this number, in a stable but arbitrary order."""
        start = None if start_after is None else {"account_number": number, **row_key(start_after)}
        entries = self._store.query(
            Account,
            AccountEntry,
            [equals("account_number", number)],
            index="number-index",
            start_after=start,
            page_size=page_size,
        )
        return (entry.id for entry in entries)

    def of_status(
        self, bucket: str, account_type: AccountType, start_after: str | None, page_size: int
    ) -> Iterator[str]:
        """Ids of accounts in one status bucket and type, in a stable but arbitrary order."""
        key = {"status_bucket": bucket, "account_type": account_type.value}
        start = None if start_after is None else {**key, **row_key(start_after)}
        entries = self._store.query(
            Account,
            AccountEntry,
            [equals("status_bucket", bucket), equals("account_type", account_type)],
            index="status-index",
            start_after=start,
            page_size=page_size,
        )
        return (entry.id for entry in entries)
