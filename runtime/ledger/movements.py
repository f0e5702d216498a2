"""DynamoDB expressions for one operation's change to one account, one function per ledger rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runtime.core.change_context import ChangeContext
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp
from runtime.customers.repository import unlocked
from runtime.dynamodb.expressions import (
    Check,
    Condition,
    Update,
    absent,
    any_of,
    at_least,
    check,
    equals,
    one_of,
    update,
)
from runtime.ledger.accounts.models import Account, AccountStatus, Posting, row_key
from runtime.ledger.accounts.rules import ORDINARY_TYPES, Terms
from runtime.ledger.hot_accounts.rules import HotBalance
from runtime.ledger.rules import Movement


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on the ledger. Its id is also the transaction's client request token."""

    id: str
    transfer_id: str
    change: ChangeContext
    now: datetime

    @property
    def at(self) -> Timestamp:
        """`now` in the stored format."""
        return to_timestamp(self.now)


def begin_movement(
    movement: Movement, terms: Terms, operation: Operation, version: int | None = None
) -> Update | Check:
    """Change an immediate account if the ledger's rules allow it; check it if nothing changes.

    DynamoDB conditions cannot do arithmetic, so the floor is compared with the stored attribute
    `spendable` (balance - held_out + credit_limit).
    """
    conditions = (*_usable(terms), equals("posting", Posting.IMMEDIATE))
    if movement.spendable < 0:
        conditions = (*conditions, *_guard(-movement.spendable, terms))
    if version is not None:
        conditions = (*conditions, equals("version", version))
    if movement.is_nothing:
        return check(Account, row_key(movement.account_id), *conditions)
    return _moved(movement, operation).when(*conditions)


def begin_hot_movement(
    movement: Movement, terms: Terms, operation: Operation, seen: HotBalance | None
) -> Update:
    """Change row 00 of a hot account: debit it against the whole balance, or add an incoming hold.

    A debit requires that row 00 still has the version in `seen`. Funds in the shards are spendable
    too, so row 00 may go below zero.
    """
    assert not terms.ordinary_only, f"{movement.account_id} is hot: only operators may use it"
    conditions = _usable(terms)
    if seen is not None:
        needed = -movement.spendable - seen.in_shards
        conditions = (*conditions, *_guard(needed, terms), equals("version", seen.version))
    return _moved(movement, operation).when(*conditions)


def debit_shard_checks(movement: Movement, seen: HotBalance) -> list[Check]:
    """Check that facts booked since the read have not spent what this debit needs."""
    least = seen.least_debits(-movement.spendable)
    return [
        check(
            Account,
            row_key(movement.account_id, shard),
            _untouched_or_at_least(seen.debits[shard], balance),
        )
        for shard, balance in least.items()
    ]


def resolve_movement(
    movement: Movement, operation: Operation, *, ordinary_only: bool
) -> Update | Check:
    """Apply the end of a hold to an account, regardless of its lock, status or funds.

    `ordinary_only`: a merchant ends the hold, so the account must be one that it may transfer from
    and to. Such an account is also checked if nothing changes.
    """
    held = [at_least("held_out", -movement.held_out), at_least("held_in", -movement.held_in)]
    if ordinary_only:
        held += [
            one_of("account_type", ORDINARY_TYPES),
            equals("posting", Posting.IMMEDIATE),
        ]
    if movement.is_nothing:
        return check(Account, row_key(movement.account_id), *held)
    return _moved(movement, operation).when(*held)


def lock_account(account_id: str, owner: str, until: Timestamp, operation: Operation) -> Update:
    """Lock an immediate account of `owner` unless it is already locked."""
    return stamped(update(Account, row_key(account_id)).assign(locked_until=until), operation).when(
        equals("merchant_id", owner),
        equals("posting", Posting.IMMEDIATE),
        unlocked(operation.at),
    )


def _moved(movement: Movement, operation: Operation) -> Update:
    return stamped(
        update(Account, row_key(movement.account_id)).add(
            balance=movement.balance,
            held_out=movement.held_out,
            held_in=movement.held_in,
            spendable=movement.spendable,
        ),
        operation,
    )


def stamped(written: Update, operation: Operation) -> Update:
    """Increment the version and record the operation. The entry is derived from these fields."""
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
        usable = (*usable, one_of("account_type", ORDINARY_TYPES))
    return usable if terms.owner is None else (*usable, equals("merchant_id", terms.owner))


def _guard(needed: int, terms: Terms) -> tuple[Condition, ...]:
    return (at_least("spendable", needed), unlocked(terms.at))


def _untouched_or_at_least(seen: int, least: int) -> Condition:
    """The balance is at least `least`. A shard with `seen` 0 may not exist yet."""
    enough = at_least("balance", least)
    return enough if seen else any_of(absent("id"), enough)
