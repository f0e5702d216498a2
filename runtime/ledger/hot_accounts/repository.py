"""Balance shards of hot accounts: credits many transfers in one commit, each exactly once.

The entries and the shard's new balance are written in one transaction, and each entry only if it
does not exist yet. The key of an entry depends only on its transfer, so a transfer that is
delivered again is not added twice, whichever credit shard it is added to. Each commit chooses a
credit shard at random: then concurrent commits seldom meet. Consolidation moves the balances of the
shards into row 00.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from pydantic import BaseModel

from runtime.core.change_context import ChangeContext
from runtime.core.errors import StaleWrite, Unavailable
from runtime.core.fields import Timestamp
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Key, Put, Write, absent, any_of, equals, put, update
from runtime.dynamodb.index_shards import account_status_bucket
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store, View
from runtime.ledger.accounts.models import (
    FIRST_CREDIT_SHARDS,
    PROFILE_SHARD,
    Account,
    AccountStatus,
    AccountType,
    Posting,
    row_id,
    row_key,
)
from runtime.ledger.entries.models import (
    Entry,
    consolidation_key,
    credit_partition,
    shard_sequence,
)
from runtime.ledger.hot_accounts.rules import (
    MAX_CREDIT_SHARDS,
    HotBalance,
    credit_shard,
    debit_shards,
    is_credit_shard,
    shards_of,
)
from runtime.ledger.rules import ChartAccount, is_receivable

MAX_SHARD_CREDITS = MAX_TRANSACTION_ITEMS - 1
"""Entries per commit: with the shard, DynamoDB's 100 actions, and far below 4 MB."""
MAX_CONSOLIDATED_AT_ONCE = 49
"""Shards per commit: two actions each, plus row 00, within DynamoDB's limit of 100 actions."""
MAX_ATTEMPTS = 50
"""Attempts at one credit or consolidation under contention. Each failed attempt means that another
writer, or a part of this one, made progress."""


@dataclass(frozen=True, slots=True)
class HotAccount:
    """The fields of a hot account that are repeated on its credit shards, and their number.

    `credit_shards` may be an earlier number: it only grows.
    """

    account_id: str
    merchant_id: str
    account_type: AccountType
    currency: str
    credit_shards: int = FIRST_CREDIT_SHARDS

    @classmethod
    def of(cls, row: Account) -> Self:
        """The account with this row 00."""
        number = min(row.credit_shards, MAX_CREDIT_SHARDS)  # the others are not read
        return cls(row.id, row.merchant_id, row.account_type, row.currency, number)


@dataclass(frozen=True, slots=True)
class ShardCredit:
    """One transfer's change to the account, in minor units; never zero."""

    transfer_id: str
    operation_id: str
    amount: int
    processed_at: Timestamp


ChangeOf = Callable[[str], ChangeContext]
"""Returns the change context for an operation's id."""


class _Spendable(BaseModel, frozen=True, defer_build=True):
    version: int
    spendable: int
    credit_shards: int = FIRST_CREDIT_SHARDS


class _Shard(BaseModel, frozen=True, defer_build=True):
    id: str
    shard: str
    balance: int


class ShardRepository:
    """The rows of hot accounts, with their entries."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows_of(self, account_id: str) -> list[Account]:
        """Row 00 and the shards of an account, strongly consistent, row 00 first."""
        profile = self._store.get(Account, row_key(account_id), Account, UNRESTRICTED)
        if profile is None:
            return []
        return [profile, *self.shards_of(profile)]

    def shards_of(self, profile: Account) -> list[Account]:
        """The balance shards of an account that exist, strongly consistent.

        The number in `profile`, which was read before, may be an earlier one: then shards that were
        added since are missing, which only this account's later credits raise.
        """
        return self._shards(profile.id, profile.credit_shards, Account)

    def debit_shards_of(self, account_id: str) -> list[Account]:
        """The debit shards of a receivable that exist, strongly consistent."""
        return self._read(account_id, debit_shards(), Account)

    def _shards(self, account_id: str, credits_: int, view: type[View]) -> list[View]:
        return self._read(account_id, shards_of(account_id, credits_), view)

    def _read(self, account_id: str, shards: Sequence[str], view: type[View]) -> list[View]:
        keys = [row_key(account_id, shard) for shard in shards]
        parts = [
            keys[start : start + MAX_TRANSACTION_ITEMS]
            for start in range(0, len(keys), MAX_TRANSACTION_ITEMS)
        ]
        if len(parts) == 1:
            return self._part(parts[0], view)
        with self._store.outside.threads(len(parts)) as pool:
            found = pool.map(lambda part: self._part(part, view), parts)
            return [row for rows in found for row in rows]

    def _part(self, keys: Sequence[Key], view: type[View]) -> list[View]:
        return self._store.get_many(Account, keys, view, UNRESTRICTED)

    def open(self, account: ChartAccount, context: ChangeContext, now: datetime) -> None:
        """Store row 00 of a chart account if it does not exist."""
        status, at = AccountStatus.ACTIVE, to_timestamp(now)
        profile = Account(
            id=account.id,
            merchant_id=account.merchant_id,
            account_type=account.account_type,
            status_bucket=account_status_bucket(account.merchant_id, status, account.id, 1),
            currency=account.currency,
            status=status,
            posting=Posting.FOLDED,
            last_operation_id=self._store.outside.new_id("chg", now),
            created_at=at,
            updated_at=at,
            **context.stamp(),
        )
        with suppress(TransactionRefused):  # it already exists
            self._store.transact(
                [put(profile).when(absent("id"))], token=self._store.outside.new_id("prf", now)
            )

    def grow(self, account: HotAccount, context: ChangeContext, now: datetime) -> None:
        """Double the number of the account's credit shards, unless another writer has."""
        number = min(2 * account.credit_shards, MAX_CREDIT_SHARDS)
        operation_id = self._store.outside.new_id("chg", now)
        known = equals("credit_shards", account.credit_shards)
        if account.credit_shards == FIRST_CREDIT_SHARDS:
            known = any_of(absent("credit_shards"), known)
        grown = (
            update(Account, row_key(account.account_id))
            .add(version=1)
            .assign(
                credit_shards=number,
                last_operation_id=operation_id,
                updated_at=to_timestamp(now),
                **replace(context, cause=operation_id).stamp(),
            )
            .when(equals("posting", Posting.FOLDED), known)
        )
        with suppress(TransactionRefused):
            self._store.transact([grown], token=operation_id)

    def credit(
        self,
        target: HotAccount,
        items: Sequence[ShardCredit],
        context: ChangeContext,
        now: datetime,
    ) -> int:
        """Add at most MAX_SHARD_CREDITS items to a credit shard, each exactly once.

        Returns how many shards other writers changed meanwhile. Raises Unavailable.
        """
        left = list({item.operation_id: item for item in items}.values())
        busy = 0
        for _ in range(MAX_ATTEMPTS):
            if not left:
                break
            shard = credit_shard(1 + self._store.outside.chance.randrange(target.credit_shards))
            key = row_key(target.account_id, shard)
            before = self._store.get(Account, key, Account, UNRESTRICTED)
            after = _added(before, target, shard, left, context, now)
            entries = [_entry(target, shard, item, after.version) for item in left]
            writes: list[Write] = [put(entry).when(absent("account_shard")) for entry in entries]
            try:
                writes.append(_replace(before, after))
                # Any failed condition requires a fresh read, so do not wait for the other items.
                every = range(len(writes))
                self._store.transact(
                    writes, token=self._store.outside.new_id("fld", now), decisive=every
                )
            except TransactionRefused as refused:
                busy += len(left) in refused.failed
                left = [item for at, item in enumerate(left) if at not in refused.failed]
            else:
                return busy
        if left:
            raise Unavailable(f"The balance shards of {target.account_id} are busy; try again")
        return busy

    def balance_of(self, account_id: str) -> HotBalance:
        """Balance of a hot account for a guarded debit: row 00, then all shards, consistent.

        The order matters: only consolidation lowers a credit shard, and it increments the version
        of row 00, as does adding credit shards. The version is 0 if the account does not exist.
        """
        row = self._store.get(Account, row_key(account_id), _Spendable, UNRESTRICTED)
        number = row.credit_shards if row is not None else FIRST_CREDIT_SHARDS
        shards = self._shards(account_id, number, _Shard)
        balances = {shard.shard: shard.balance for shard in shards}
        debits = debit_shards() if is_receivable(account_id) else ()
        return HotBalance(
            version=row.version if row is not None else 0,
            spendable=row.spendable if row is not None else 0,
            in_shards=sum(balances.values()),
            debits={shard: balances.get(shard, 0) for shard in debits},
        )

    def consolidate(
        self,
        account_id: str,
        change: ChangeOf,
        now: datetime,
        *,
        status: AccountStatus | None = None,
    ) -> int:
        """Move the balances of the shards into row 00. The account's total does not change.

        Runs in batches of MAX_CONSOLIDATED_AT_ONCE shards, each an operation of its own. `status`
        is the status the account must have at each commit. On AWS it must be inactive: a query
        during a commit may see the money both in row 00 and in its shard, and a debit of an active
        account would then spend it twice. Returns the sum moved, in minor units. Raises StaleWrite
        if the account's status differs, Unavailable.
        """
        moved = 0
        for _ in range(MAX_ATTEMPTS):
            full = [row for row in self.rows_of(account_id) if _is_full_shard(row)]
            if not full:
                return moved
            some = full[:MAX_CONSOLIDATED_AT_ONCE]
            moved += self._consolidate(account_id, some, change, now, status)
        raise Unavailable(f"The balance shards of {account_id} are busy; try again")

    def _consolidate(
        self,
        account_id: str,
        shards: Sequence[Account],
        change: ChangeOf,
        now: datetime,
        status: AccountStatus | None,
    ) -> int:
        """One batch. Shards changed concurrently are left out. Returns the sum moved."""
        operation_id, at = self._store.outside.new_id("swp", now), to_timestamp(now)
        context, left = change(operation_id), list(shards)
        must_be = [equals("posting", Posting.FOLDED)]
        if status is not None:
            must_be.append(equals("status", status))
        for attempt in range(MAX_ATTEMPTS):
            if not left:
                return 0
            total = sum(row.balance for row in left)
            into = (
                update(Account, row_key(account_id))
                .add(balance=total, spendable=total, version=1)
                .assign(
                    last_operation_id=operation_id,
                    updated_at=at,
                    **{**context.stamp(), "cause": operation_id},
                )
                .when(*must_be)
            )
            writes: list[Write] = [into]
            for row in left:
                after = _emptied(row, operation_id, context, at)
                writes += [
                    _replace(row, after),
                    put(_consolidation_entry(row, after)).when(absent("sequence")),
                ]
            try:
                every = range(len(writes))
                self._store.transact(writes, token=f"{operation_id}-{attempt}", decisive=every)
            except TransactionRefused as refused:
                if 0 in refused.failed:
                    raise StaleWrite("accounts", f"{account_id} is not {status}") from refused
                left = [
                    row
                    for place, row in enumerate(left)
                    if not refused.failed.keys() & {2 * place + 1, 2 * place + 2}
                ]
            else:
                return total
        return 0


def _is_full_shard(row: Account) -> bool:
    return row.shard != PROFILE_SHARD and row.balance != 0


def _replace(before: Account | None, after: Account) -> Put:
    untouched = absent("id") if before is None else equals("version", before.version)
    return put(after).when(untouched)


def _added(
    before: Account | None,
    target: HotAccount,
    shard: str,
    items: Sequence[ShardCredit],
    context: ChangeContext,
    now: datetime,
) -> Account:
    at, last = to_timestamp(now), max(items, key=lambda item: shard_sequence(item.operation_id))
    total = sum(item.amount for item in items)
    if before is None:
        return Account(
            id=row_id(target.account_id, shard),
            shard=shard,
            merchant_id=target.merchant_id,
            account_type=target.account_type,
            currency=target.currency,
            posting=Posting.FOLDED,
            balance=total,
            last_operation_id=last.operation_id,
            created_at=at,
            updated_at=at,
            **replace(context, cause=last.transfer_id).stamp(),
        )
    changes = {
        "balance": before.balance + total,
        "last_operation_id": last.operation_id,
        "cause": last.transfer_id,
    }
    return before.next_version(at, changes, context)


def _entry(target: HotAccount, shard: str, item: ShardCredit, fold_version: int) -> Entry:
    return Entry(
        account_shard=credit_partition(target.account_id, item.transfer_id),
        sequence=shard_sequence(item.operation_id),
        transfer_id=item.transfer_id,
        operation_id=item.operation_id,
        account_id=target.account_id,
        amount=item.amount,
        fold_version=fold_version,
        balance_shard=shard,
        currency=target.currency,
        created_at=item.processed_at,
    )


def _emptied(row: Account, operation_id: str, context: ChangeContext, at: Timestamp) -> Account:
    changes = {"balance": 0, "last_operation_id": operation_id, "cause": operation_id}
    return row.next_version(at, changes, context)


def _consolidation_entry(before: Account, after: Account) -> Entry:
    operation_id = after.last_operation_id or ""
    partition, sequence = consolidation_key(before.account_id, before.shard, operation_id)
    return Entry(
        account_shard=partition,
        sequence=sequence,
        transfer_id=operation_id,
        operation_id=operation_id,
        account_id=before.account_id,
        amount=-before.balance,
        fold_version=after.version,
        balance_shard=before.shard if is_credit_shard(before.shard) else None,
        currency=before.currency,
        created_at=after.updated_at,
    )
