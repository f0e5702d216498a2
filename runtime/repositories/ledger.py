"""The ledger's writes: one transaction per operation, no read before it.

Every expression of the ledger is built here. A transaction has the claim, the transfer and the row
`00` of each immediate account; accounts whose posting is folded are left to the change stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runtime.domain.account_rules import (
    ORDINARY_TYPES,
    Terms,
    Touched,
    first_refusal,
    ownership_refusal,
    unknown_account,
)
from runtime.domain.instants import to_instant
from runtime.domain.ledger import Movement
from runtime.errors import (
    AlreadyClaimed,
    FailedBefore,
    InsufficientFunds,
    Internal,
    NeedsSweep,
    PlatformError,
    StaleWrite,
    TouchesFolded,
)
from runtime.models.account import PROFILE_SHARD, Account, AccountStatus, Posting
from runtime.models.change import ChangeContext
from runtime.models.customer import Customer
from runtime.models.fields import Instant
from runtime.models.idempotency import IdempotencyRecord
from runtime.models.transfer import Transfer, TransferStatus
from runtime.repositories import claims
from runtime.repositories.customers import (
    CustomerLock,
    customer_of,
    customer_refusal,
    unlocked,
    without_failures,
)
from runtime.repositories.expressions import (
    Check,
    Condition,
    Key,
    Update,
    Write,
    above,
    absent,
    at_least,
    at_most,
    change,
    check,
    equals,
    one_of,
    put,
    update,
)
from runtime.repositories.lock_out import Attempt, CountedAttempt, end_of_failures
from runtime.repositories.refusals import TransactionRefused
from runtime.repositories.side_writes import commit
from runtime.repositories.store import Store


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on the ledger: its id (also the attempt's token), who, and when."""

    id: str
    transfer_id: str
    change: ChangeContext
    now: datetime

    @property
    def at(self) -> Instant:
        """When, as it is stored."""
        return to_instant(self.now)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A transfer or hold to be begun. `movements` leaves out what is folded later.

    `versions` are the versions that accounts must still have, where balances were promised.
    `after_failures`: the customer's last attempt failed, and this one ends the count.
    """

    transfer: Transfer
    movements: tuple[Movement, ...]
    terms: Terms
    operation: Operation
    claim: IdempotencyRecord | None
    versions: Mapping[str, int] = field(default_factory=dict)
    after_failures: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """A hold to be posted, canceled or expired; `movements` leaves out what is folded later."""

    before: Transfer
    after: Transfer
    movements: tuple[Movement, ...]
    operation: Operation
    claim: IdempotencyRecord | None


# -------------------------------------------------------------------- expressions


def begin_movement(
    movement: Movement, terms: Terms, operation: Operation, version: int | None = None
) -> Update | Check:
    """Change an account, or only check it, unless a rule of the ledger forbids it.

    Conditions cannot do arithmetic, so `spendable` (balance - held_out + credit_limit) is kept
    beside the balance, and the floor is a comparison with it.
    """
    conditions = (*_usable(terms), *_rules_of(movement, terms))
    if version is not None:
        conditions = (*conditions, equals("version", version))
    if movement.is_nothing:
        return check(Account, account_key(movement.account_id), *conditions)
    return _moved(movement, operation).when(*conditions)


def resolve_movement(movement: Movement, operation: Operation) -> Update:
    """What a hold's end changes in an account; neither lock nor status nor funds forbid it."""
    held = [at_least("held_out", -movement.held_out), at_least("held_in", -movement.held_in)]
    return _moved(movement, operation).when(*held)


def lock_account(account_id: str, owner: str, until: Instant, operation: Operation) -> Update:
    """Lock an immediate account of `owner`, unless a lock stands."""
    return stamped(
        update(Account, account_key(account_id)).assign(locked_until=until), operation
    ).when(
        equals("merchant_id", owner),
        equals("posting", Posting.IMMEDIATE),
        unlocked(operation.at),
    )


def account_key(account_id: str) -> Key:
    """Key of an account's profile and balance."""
    return {"id": account_id, "shard": PROFILE_SHARD}


def _moved(movement: Movement, operation: Operation) -> Update:
    return stamped(
        update(Account, account_key(movement.account_id)).add(
            balance=movement.balance,
            held_out=movement.held_out,
            held_in=movement.held_in,
            spendable=movement.spendable,
        ),
        operation,
    )


def stamped(written: Update, operation: Operation) -> Update:
    """Version + 1, and who, when, why and by which operation: what the entry is made from."""
    return written.add(version=1).assign(
        last_operation_id=operation.id,
        updated_at=operation.at,
        **{**operation.change.stamp(), "cause": operation.transfer_id},
    )


def _usable(terms: Terms) -> tuple[Condition, ...]:
    usable: tuple[Condition, ...] = (
        equals("status", AccountStatus.ACTIVE),
        equals("currency", terms.currency),
    )
    if terms.ordinary_only:
        usable = (
            *usable,
            one_of("account_type", ORDINARY_TYPES),
            equals("posting", Posting.IMMEDIATE),
        )
    return usable if terms.owner is None else (*usable, equals("merchant_id", terms.owner))


def _rules_of(movement: Movement, terms: Terms) -> tuple[Condition, ...]:
    if movement.spendable < 0:
        return (at_least("spendable", -movement.spendable), unlocked(terms.at))
    # A folded account is credited by its fold rows alone; only a debit needs its row 00.
    return () if terms.ordinary_only else (equals("posting", Posting.IMMEDIATE),)


def _of_customer(wanted: Beginning) -> tuple[Update | Check, ...]:
    transfer, at = wanted.transfer, wanted.operation.at
    customer_id, owner = transfer.customer_id, transfer.merchant_id
    if customer_id is None:
        return ()
    if wanted.after_failures:
        return (end_of_failures(customer_id, owner, at, wanted.operation.change),)
    may = (*customer_of(owner), unlocked(at), without_failures())
    return (check(Customer, {"id": customer_id}, *may),)


# -------------------------------------------------------------------- commits


class LedgerRepository:
    """The tables that an operation on the ledger writes in one commit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, wanted: Beginning) -> None:
        """All of a transfer or hold, or nothing.

        Raises, judged in this order: NotFound for what is another's, AlreadyClaimed, NotFound,
        Forbidden, InactiveAccount, CurrencyMismatch, Locked, InsufficientFunds (of a folded
        account: NeedsSweep); TouchesFolded; StaleWrite when `versions` have passed; FailedBefore.
        """
        writes: list[Write] = [*self._touches(wanted), put(wanted.transfer).when(absent("id"))]
        if wanted.claim is not None:
            writes.append(claims.take(wanted.claim, wanted.operation.now))
        try:
            self._store.transact(
                writes,
                token=wanted.operation.id,
                decisive=claims.judged_first(writes, wanted.claim),
            )
        except TransactionRefused as refused:
            raise self._refusal(wanted, refused.failed) from refused

    def try_out(self, wanted: Beginning) -> None:
        """Judge a transfer without writing anything. Raises what `begin` raises."""
        checks = [
            Check(touch.schema, touch.key, touch.condition)
            for touch in self._touches(wanted)
            if touch.condition is not None
        ]
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
        """Record a failed attempt, with the answer that its key repeats, and count it.

        Raises AlreadyClaimed.
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
                decisive=claims.judged_first(writes, claim),
            )
        except TransactionRefused as refused:
            raise self._taken(refused, len(writes) - 1) from refused

    def resolve(self, wanted: Resolution) -> None:
        """Post, cancel or expire a hold: exactly one of all attempts succeeds.

        Raises AlreadyClaimed (judged first), StaleWrite when the hold is resolved or out of time.
        """
        before, at = wanted.before, wanted.operation.at
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
            resolve_movement(movement, wanted.operation)
            for movement in wanted.movements
            if not movement.is_nothing
        ]
        if wanted.claim is not None:
            writes.append(claims.take(wanted.claim, wanted.operation.now))
        try:
            self._store.transact(
                writes,
                token=wanted.operation.id,
                decisive=claims.judged_first(writes, wanted.claim),
            )
        except TransactionRefused as refused:
            if wanted.claim is not None and len(writes) - 1 in refused.failed:
                raise self._taken(refused, len(writes) - 1) from refused
            if 0 not in refused.failed:
                raise Internal(f"{before.id}: its accounts do not hold what it holds") from refused
            raise StaleWrite("transfers", f"{before.id} is resolved or expired") from refused

    def _touches(self, wanted: Beginning) -> list[Update | Check]:
        """What stands first in the transaction: the accounts, then the customer."""
        accounts = (
            begin_movement(
                movement,
                wanted.terms,
                wanted.operation,
                wanted.versions.get(movement.account_id),
            )
            for movement in wanted.movements
        )
        return [*accounts, *_of_customer(wanted)]

    # ------------------------------------------------------------ refusals, from the old items

    def _refusal(self, wanted: Beginning, failed: Mapping[int, Mapping[str, Any]]) -> Exception:
        movements, terms = wanted.movements, wanted.terms
        touched = [
            (movement, self._account(failed[position]))
            for position, movement in enumerate(movements)
            if failed.get(position)
        ]
        anothers = ownership_refusal(touched, terms)
        if anothers is not None:
            return anothers
        after_touches = len(movements) + (wanted.transfer.customer_id is not None)
        claim_item = failed.get(after_touches + 1)
        if claim_item is not None:
            return AlreadyClaimed(self._claim(claim_item))
        missing = [m for position, m in enumerate(movements) if failed.get(position) == {}]
        if missing:
            return unknown_account(missing[0], terms)
        if len(movements) in failed:
            refusal = self._customer_refusal(wanted.transfer, failed[len(movements)], terms)
            if refusal is not None or not touched:
                return refusal or FailedBefore(f"{wanted.transfer.customer_id} has failed before")
        return _account_refusal(touched, wanted)

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


def _account_refusal(touched: Sequence[Touched], wanted: Beginning) -> Exception:
    """The refusal by the rules, or what the service can do something about."""
    refusal = first_refusal(touched, wanted.terms)
    if isinstance(refusal, InsufficientFunds):
        for movement, account in touched:
            short = account.spendable + movement.spendable < 0
            if short and account.posting is Posting.FOLDED:
                return NeedsSweep(account.id, refusal)
    if refusal is not None:
        return refusal
    folded = tuple(
        account
        for movement, account in touched
        if account.posting is Posting.FOLDED and movement.spendable >= 0
    )
    if folded:
        return TouchesFolded(folded)
    return StaleWrite("accounts", "a balance moved on")
