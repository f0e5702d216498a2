"""The ledger's writes: one transaction per operation, without a read first.

A transaction contains the idempotency claim, the transfer and row `00` of each immediate account.
The change stream applies credits to hot accounts. Only a debit of a hot account needs a read first:
it is checked against the account's whole balance (`HotBalance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from runtime.core.errors import (
    AlreadyClaimed,
    FailedBefore,
    InsufficientFunds,
    Internal,
    InvalidValue,
    PlatformError,
    StaleWrite,
    TouchesHotAccounts,
)
from runtime.customers.lockout_repository import Attempt, CountedAttempt, reset_failures
from runtime.customers.models import Customer
from runtime.customers.repository import (
    CustomerLock,
    customer_of,
    customer_refusal,
    unlocked,
    without_failures,
)
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import (
    Check,
    Update,
    Write,
    above,
    absent,
    at_most,
    change,
    check,
    equals,
    put,
)
from runtime.dynamodb.optional_writes import commit
from runtime.dynamodb.store import BACKOFF_CAP_SECONDS, MAX_TRANSACTION_ITEMS, Store
from runtime.idempotency import repository as claims
from runtime.idempotency.models import IdempotencyRecord
from runtime.ledger.accounts.models import Account, Posting
from runtime.ledger.accounts.rules import (
    Terms,
    Touched,
    first_refusal,
    hold_refusal,
    only_operators_end,
    ownership_refusal,
    unknown_account,
)
from runtime.ledger.hot_accounts.rules import DEBIT_SHARDS, HotBalance
from runtime.ledger.movements import (
    Operation,
    begin_hot_movement,
    begin_movement,
    debit_shard_checks,
    resolve_movement,
)
from runtime.ledger.rules import Movement
from runtime.ledger.transfers.models import Transfer, TransferStatus

HOT_CONFLICT_CAP_SECONDS: Final = 0.05
"""Longest backoff between attempts at a debit of a hot account that conflicts with refunds."""


@dataclass(frozen=True, slots=True)
class TransferCommit:
    """A transfer or hold to create. `movements` excludes credits applied by the change stream.

    `hot`: accounts in `movements` that are known to be hot. The value is the balance that was read
    for a debit, or None if the movement only adds to `held_in`.
    `versions`: the versions that accounts must still have, if `balances_after` was requested.
    `after_failures`: the customer has failed attempts; this transfer resets the count.
    """

    transfer: Transfer
    movements: tuple[Movement, ...]
    terms: Terms
    operation: Operation
    claim: IdempotencyRecord | None
    versions: Mapping[str, int] = field(default_factory=dict)
    after_failures: bool = False
    hot: Mapping[str, HotBalance | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A hold to post, void or expire. `movements` excludes what the change stream applies.

    `ordinary_only`: a merchant ends the hold, so all its accounts must be ordinary; see Terms.
    """

    before: Transfer
    after: Transfer
    movements: tuple[Movement, ...]
    operation: Operation
    claim: IdempotencyRecord | None
    ordinary_only: bool


def _of_customer(wanted: TransferCommit) -> tuple[Update | Check, ...]:
    transfer, at = wanted.transfer, wanted.operation.at
    customer_id, owner = transfer.customer_id, transfer.merchant_id
    if customer_id is None:
        return ()
    if wanted.after_failures:
        return (reset_failures(customer_id, owner, at, wanted.operation.change),)
    may = (*customer_of(owner), unlocked(at), without_failures())
    return (check(Customer, {"id": customer_id}, *may),)


class LedgerRepository:
    """Writes ledger operations, each in one transaction across several tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, wanted: TransferCommit) -> None:
        """Commit a transfer or hold atomically.

        Raises, in this order of precedence: NotFound for another owner's account, AlreadyClaimed,
        NotFound, Forbidden, InactiveAccount, CurrencyMismatch, Locked, InsufficientFunds;
        TouchesHotAccounts for hot accounts missing from `hot`; StaleWrite if `versions` or the
        balances of hot accounts are out of date; FailedBefore. InvalidValue if the transfer does
        not fit in one DynamoDB transaction.
        """
        writes: list[Write] = [*self._touches(wanted), put(wanted.transfer).when(absent("id"))]
        if wanted.claim is not None:
            writes.append(claims.take(wanted.claim, wanted.operation.now))
        claimed, first_check = claims.claim_position(writes, wanted.claim), len(writes)
        writes += _shard_checks(wanted)
        _must_fit(len(writes))
        # If a debit shard check fails, the caller reads the balance again. Do not wait for others.
        decisive = (*claimed, *range(first_check, len(writes)))
        # Refunds lock a receivable's debit shards often but briefly. Exponential backoff would
        # starve payouts, so the pause is capped.
        cap = HOT_CONFLICT_CAP_SECONDS if wanted.hot else BACKOFF_CAP_SECONDS
        token = wanted.operation.id
        try:
            self._store.transact(writes, token=token, decisive=decisive, conflict_cap_seconds=cap)
        except TransactionRefused as refused:
            raise self._refusal(wanted, refused.failed, claimed) from refused

    def try_out(self, wanted: TransferCommit) -> None:
        """Check a transfer without writing anything. Raises the same errors as `begin`."""
        checks = [
            Check(touch.schema, touch.key, touch.condition)
            for touch in self._touches(wanted)
            if touch.condition is not None
        ]
        checks += _shard_checks(wanted)
        _must_fit(len(checks) + 1 + (wanted.claim is not None))  # as many as `begin` writes
        if not checks:
            return
        try:
            self._store.transact(checks, token=wanted.operation.id)
        except TransactionRefused as refused:
            raise self._refusal(wanted, refused.failed) from refused

    def refuse(
        self,
        failed: Transfer | None,
        claim: IdempotencyRecord | None,
        attempt: Attempt | None = None,
        *,
        token: str,
        now: datetime,
    ) -> None:
        """Record a failed attempt with its stored answer, and count it towards the lockout.

        Raises AlreadyClaimed; StaleWrite if the transfer was made meanwhile, and has no claim.
        """
        writes: list[Write] = [] if failed is None else [put(failed).when(absent("id"))]
        if claim is not None:
            writes.append(claims.take(claim, now))
        counted = [] if attempt is None else [CountedAttempt(attempt, self._store.codec)]
        try:
            commit(
                self._store,
                writes,
                counted,
                token=token,
                decisive=claims.claim_position(writes, claim),
            )
        except TransactionRefused as refused:
            if claim is None:
                raise StaleWrite("transfers", "the refused transfer exists") from refused
            raise self._taken(refused, len(writes) - 1) from refused

    def resolve(self, wanted: Resolution) -> None:
        """Post, void or expire a hold. Of concurrent attempts exactly one succeeds.

        Raises AlreadyClaimed (checked first), StaleWrite if the hold is resolved or has expired,
        Forbidden for a merchant if one of the hold's accounts is for operators only.
        """
        before, at = wanted.before, wanted.operation.at
        if wanted.ordinary_only and before.folded_accounts:
            # `movements` may exclude these hot accounts, so their conditions may be missing.
            raise only_operators_end(before.id, before.folded_accounts[0])
        in_time = (
            at_most("expires_at", at)
            if wanted.after.status is TransferStatus.EXPIRED
            else above("expires_at", at)
        )
        step = change(before, wanted.after).when(
            equals("status", TransferStatus.PENDING), equals("version", before.version), in_time
        )
        writes: list[Write] = [step]
        writes += [
            resolve_movement(movement, wanted.operation, ordinary_only=wanted.ordinary_only)
            for movement in wanted.movements
            if wanted.ordinary_only or not movement.is_nothing
        ]
        if wanted.claim is not None:
            writes.append(claims.take(wanted.claim, wanted.operation.now))
        try:
            self._store.transact(
                writes,
                token=wanted.operation.id,
                decisive=claims.claim_position(writes, wanted.claim),
            )
        except TransactionRefused as refused:
            if wanted.claim is not None and len(writes) - 1 in refused.failed:
                raise self._taken(refused, len(writes) - 1) from refused
            raise self._unresolved(wanted, refused.failed) from refused

    def _touches(self, wanted: TransferCommit) -> list[Update | Check]:
        """The first items of the transaction: the accounts, then the customer."""
        return [
            *(_touch(movement, wanted) for movement in wanted.movements),
            *_of_customer(wanted),
        ]

    # ------------------------------------------------- refusals, derived from the returned items

    def _refusal(
        self,
        wanted: TransferCommit,
        failed: Mapping[int, Mapping[str, Any]],
        claimed: Sequence[int] = (),
    ) -> Exception:
        """The refusal for the failed conditions. `claimed`: positions of the claim, if any."""
        movements, terms = wanted.movements, wanted.terms
        touched = [
            (movement, _whole(self._account(failed[position]), wanted))
            for position, movement in enumerate(movements)
            if failed.get(position)
        ]
        anothers = ownership_refusal(touched, terms)
        if anothers is not None:
            return anothers
        for position in claimed:
            if position in failed:
                return AlreadyClaimed(self._claim(failed[position]))
        missing = [m for position, m in enumerate(movements) if failed.get(position) == {}]
        if missing:
            return unknown_account(missing[0], terms)
        if wanted.transfer.customer_id is not None and len(movements) in failed:
            refusal = self._customer_refusal(wanted.transfer, failed[len(movements)], terms)
            if refusal is not None or not touched:
                return refusal or FailedBefore(f"{wanted.transfer.customer_id} has failed before")
        return _account_refusal(touched, wanted)

    def _unresolved(self, wanted: Resolution, failed: Mapping[int, Mapping[str, Any]]) -> Exception:
        """Why a hold did not end. The hold is the transaction's first item, then its accounts."""
        hold_id = wanted.before.id
        if 0 in failed:
            return StaleWrite("transfers", f"{hold_id} is resolved or expired")
        touched = [self._account(item) for item in failed.values() if item]
        refusal = hold_refusal(hold_id, touched) if wanted.ordinary_only else None
        return refusal or Internal(f"{hold_id}: accounts hold less than the hold")

    def _customer_refusal(
        self, transfer: Transfer, item: Mapping[str, Any], terms: Terms
    ) -> PlatformError | None:
        assert transfer.customer_id is not None, f"{transfer.id} is for no customer"
        codec = self._store.codec
        customer = codec.to_row(Customer.table_schema, item, CustomerLock) if item else None
        return customer_refusal(customer, transfer.customer_id, transfer.merchant_id, terms.at)

    def _account(self, item: Mapping[str, Any]) -> Account:
        return self._store.codec.to_row(Account.table_schema, item, Account)

    def _claim(self, item: Mapping[str, Any]) -> IdempotencyRecord:
        return self._store.codec.to_row(IdempotencyRecord.table_schema, item, IdempotencyRecord)

    def _taken(self, refused: TransactionRefused, position: int) -> Exception:
        item = refused.failed.get(position)
        return AlreadyClaimed(self._claim(item)) if item else refused


def _touch(movement: Movement, wanted: TransferCommit) -> Update | Check:
    terms, operation, account_id = wanted.terms, wanted.operation, movement.account_id
    if account_id in wanted.hot:
        return begin_hot_movement(movement, terms, operation, wanted.hot[account_id])
    return begin_movement(movement, terms, operation, wanted.versions.get(account_id))


def _shard_checks(wanted: TransferCommit) -> list[Check]:
    seen = ((movement, wanted.hot.get(movement.account_id)) for movement in wanted.movements)
    return [
        each
        for movement, balance in seen
        if balance is not None
        for each in debit_shard_checks(movement, balance)
    ]


def _must_fit(writes: int) -> None:
    if writes > MAX_TRANSACTION_ITEMS:
        raise InvalidValue(
            f"The transfer needs {writes} writes; the limit is {MAX_TRANSACTION_ITEMS}, and a "
            f"debit of a receivable checks its {DEBIT_SHARDS} debit shards; split the transfer",
            param="legs",
        )


def _whole(account: Account, wanted: TransferCommit) -> Account:
    """The account with its shards' balances added, so that the same rules apply to hot accounts."""
    seen = wanted.hot.get(account.id)
    if seen is None or seen.version != account.version:
        return account
    return account.model_copy(
        update={
            "balance": account.balance + seen.in_shards,
            "spendable": account.spendable + seen.in_shards,
        }
    )


def _account_refusal(touched: Sequence[Touched], wanted: TransferCommit) -> Exception:
    """The refusal by the account rules, or an error that makes the service retry."""
    refusal = first_refusal(touched, wanted.terms)
    if refusal is not None and not isinstance(refusal, InsufficientFunds):
        return refusal
    met = tuple(
        account
        for _, account in touched
        if account.posting is Posting.FOLDED and account.id not in wanted.hot
    )
    if met:
        return TouchesHotAccounts(met)
    moved_on = any(_has_moved_on(account, wanted) for _, account in touched)
    if refusal is None or moved_on:
        return StaleWrite("accounts", "an account changed")
    return refusal


def _has_moved_on(account: Account, wanted: TransferCommit) -> bool:
    seen = wanted.hot.get(account.id)
    return seen is not None and seen.version != account.version
