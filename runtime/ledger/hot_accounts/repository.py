"""Folded accounts: many transfers added to a credit shard in one commit, each exactly once.

An entry is put, if it does not exist, in the same transaction as the shard's new sum; so a transfer
that comes again finds its entry and adds nothing. A transfer always meets the same credit shard
(domain.ledger.credit_shard_of), whoever folds it. What the shards hold can be consolidated into
row 00.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel

from runtime.core.change_context import ChangeContext
from runtime.core.errors import StaleWrite, Unavailable
from runtime.core.fields import Timestamp
from runtime.core.scope import EVERYBODY
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import Put, Write, above, absent, equals, put, update
from runtime.dynamodb.index_shards import account_status_bucket
from runtime.dynamodb.store import Store
from runtime.ledger.accounts.models import (
    PROFILE_SHARD,
    Account,
    AccountStatus,
    AccountType,
    Posting,
)
from runtime.ledger.entries.models import Entry, entry_partition, shard_sequence
from runtime.ledger.hot_accounts.rules import HotBalance, debit_shards
from runtime.ledger.rules import ChartAccount, is_receivable

MAX_SHARD_CREDITS = 50
"""Entries of one commit: with the fold row half of DynamoDB's 100 actions, far below 4 MB."""
MAX_CONSOLIDATED_AT_ONCE = 49
"""Shards of one commit: each with its entry, and row 00, below DynamoDB's 100 actions."""
MAX_ATTEMPTS = 50
"""Commits of one fold or consolidation that others disturb; each one that fails means that
another's, or a part of our own, is done."""
MAX_PROFILES_REMEMBERED = 10_000
ROWS_PAGE = 100


@dataclass(frozen=True, slots=True)
class CreditShard:
    """A folded account, as much of it as its fold rows repeat."""

    account_id: str
    merchant_id: str
    account_type: AccountType
    currency: str


@dataclass(frozen=True, slots=True)
class ShardCredit:
    """What one transfer changes in the account, in minor units, not zero."""

    transfer_id: str
    operation_id: str
    amount: int
    processed_at: Timestamp


ChangeOf = Callable[[str], ChangeContext]
"""The stamp of an operation, by its id."""


class _Spendable(BaseModel, frozen=True):
    version: int
    spendable: int


class _Shard(BaseModel, frozen=True):
    shard: str
    balance: int


class ShardRepository:
    """The rows of folded accounts, with their entries."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._profiles: OrderedDict[str, None] = OrderedDict()

    def rows_of(self, account_id: str) -> list[Account]:
        """Row 00 and the shards of an account, strongly consistent."""
        rows = self._store.query(
            Account, Account, [equals("id", account_id)], page_size=ROWS_PAGE, consistent=True
        )
        return list(rows)

    def ensure_profile(self, account: ChartAccount, context: ChangeContext, now: datetime) -> None:
        """Store row 00 of an account of the chart, if it is not there."""
        if account.id in self._profiles:
            return
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
        with suppress(TransactionRefused):  # it is there: stored by another, or forgotten by us
            self._store.transact(
                [put(profile).when(absent("id"))], token=self._store.outside.new_id("prf", now)
            )
        self._profiles[account.id] = None
        if len(self._profiles) > MAX_PROFILES_REMEMBERED:
            self._profiles.popitem(last=False)

    def credit(
        self,
        target: CreditShard,
        shard: str,
        items: Sequence[ShardCredit],
        context: ChangeContext,
        now: datetime,
    ) -> None:
        """Add what `items` change to one fold row, each exactly once. Raises Unavailable."""
        for start in range(0, len(items), MAX_SHARD_CREDITS):
            self._credit(target, shard, items[start : start + MAX_SHARD_CREDITS], context, now)

    def _credit(
        self,
        target: CreditShard,
        shard: str,
        items: Sequence[ShardCredit],
        context: ChangeContext,
        now: datetime,
    ) -> None:
        left = list({item.operation_id: item for item in items}.values())
        for _ in range(MAX_ATTEMPTS):
            if not left:
                return
            before = self._store.get(
                Account, {"id": target.account_id, "shard": shard}, Account, EVERYBODY
            )
            after = _added(before, target, shard, left, context, now)
            entries = [_entry(target, shard, item, after.version) for item in left]
            writes: list[Write] = [put(entry).when(absent("account_shard")) for entry in entries]
            try:
                writes.append(_replace(before, after))
                # Whatever has failed, the row is read again: waiting for the rest would be in vain.
                every = range(len(writes))
                self._store.transact(
                    writes, token=self._store.outside.new_id("fld", now), decisive=every
                )
            except TransactionRefused as refused:
                left = [item for at, item in enumerate(left) if at not in refused.failed]
            else:
                return
        raise Unavailable(f"Balance shard {target.account_id}#{shard} is busy; try again")

    def balance_of(self, account_id: str) -> HotBalance:
        """A hot account for a guarded debit: row 00 first, then all shards, strongly consistent.

        In this order, because consolidation, the only one to lower a credit shard, steps the
        version of row 00. Version 0 where there is no such account.
        """
        key = {"id": account_id, "shard": PROFILE_SHARD}
        row = self._store.get(Account, key, _Spendable, EVERYBODY)
        shards = self._store.query(
            Account,
            _Shard,
            [equals("id", account_id), above("shard", PROFILE_SHARD)],
            page_size=ROWS_PAGE,
            consistent=True,
        )
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
        """Move what the shards hold into row 00; the account's total stays what it is.

        In parts, each an operation of its own: a commit takes half a hundred shards. `status`: what
        the account must be at each commit. On AWS it must be inactive: a plain read in the middle
        of a commit may see the money in row 00 already and in its shard still, and then a debit of
        an active account would spend it twice. Returns the sum moved, in minor units. Raises
        StaleWrite where the account has become something else, Unavailable.
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
        """One part; shards that others change meanwhile are left out. Returns the sum moved."""
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
                update(Account, {"id": account_id, "shard": PROFILE_SHARD})
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
    target: CreditShard,
    shard: str,
    items: Sequence[ShardCredit],
    context: ChangeContext,
    now: datetime,
) -> Account:
    at, last = to_timestamp(now), max(items, key=lambda item: shard_sequence(item.operation_id))
    total = sum(item.amount for item in items)
    if before is None:
        return Account(
            id=target.account_id,
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
    return before.model_copy(
        update={
            **context.stamp(),
            "balance": before.balance + total,
            "version": before.version + 1,
            "last_operation_id": last.operation_id,
            "updated_at": at,
            "cause": last.transfer_id,
        }
    )


def _entry(target: CreditShard, shard: str, item: ShardCredit, fold_version: int) -> Entry:
    return Entry(
        account_shard=entry_partition(target.account_id, shard),
        sequence=shard_sequence(item.operation_id),
        transfer_id=item.transfer_id,
        operation_id=item.operation_id,
        account_id=target.account_id,
        amount=item.amount,
        fold_version=fold_version,
        currency=target.currency,
        created_at=item.processed_at,
    )


def _emptied(row: Account, operation_id: str, context: ChangeContext, at: Timestamp) -> Account:
    return row.model_copy(
        update={
            **context.stamp(),
            "balance": 0,
            "version": row.version + 1,
            "last_operation_id": operation_id,
            "updated_at": at,
            "cause": operation_id,
        }
    )


def _consolidation_entry(before: Account, after: Account) -> Entry:
    return Entry(
        account_shard=entry_partition(before.id, before.shard),
        sequence=shard_sequence(after.last_operation_id or ""),
        transfer_id=after.last_operation_id,
        operation_id=after.last_operation_id or "",
        account_id=before.id,
        amount=-before.balance,
        fold_version=after.version,
        currency=before.currency,
        created_at=after.updated_at,
    )
