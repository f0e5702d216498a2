"""One operation's change of one account: an expression per rule of the ledger, named for it."""

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
    Key,
    Update,
    absent,
    any_of,
    at_least,
    check,
    equals,
    one_of,
    update,
)
from runtime.ledger.accounts.models import PROFILE_SHARD, Account, AccountStatus, Posting
from runtime.ledger.accounts.rules import ORDINARY_TYPES, Terms
from runtime.ledger.hot_accounts.rules import HotBalance
from runtime.ledger.rules import Movement


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on the ledger: its id (also the attempt's token), who, and when."""

    id: str
    transfer_id: str
    change: ChangeContext
    now: datetime

    @property
    def at(self) -> Timestamp:
        """When, as it is stored."""
        return to_timestamp(self.now)


def begin_movement(
    movement: Movement, terms: Terms, operation: Operation, version: int | None = None
) -> Update | Check:
    """Change an immediate account, or only check it, unless a rule of the ledger forbids it.

    Conditions cannot do arithmetic, so `spendable` (balance - held_out + credit_limit) is kept
    beside the balance, and the floor is a comparison with it.
    """
    conditions = (*_usable(terms), equals("posting", Posting.IMMEDIATE))
    if movement.spendable < 0:
        conditions = (*conditions, *_guard(-movement.spendable, terms))
    if version is not None:
        conditions = (*conditions, equals("version", version))
    if movement.is_nothing:
        return check(Account, account_key(movement.account_id), *conditions)
    return _moved(movement, operation).when(*conditions)


def begin_hot_movement(
    movement: Movement, terms: Terms, operation: Operation, seen: HotBalance | None
) -> Update:
    """Change row 00 of a hot account: by a debit that the whole balance covers, or a hold for it.

    For a debit row 00 must be as it was seen. What the shards hold is spendable too, so row 00 may
    go below zero.
    """
    assert not terms.ordinary_only, f"{movement.account_id} is hot, and only for operators"
    conditions = _usable(terms)
    if seen is not None:
        needed = -movement.spendable - seen.in_shards
        conditions = (*conditions, *_guard(needed, terms), equals("version", seen.version))
    return _moved(movement, operation).when(*conditions)


def debit_shard_checks(movement: Movement, seen: HotBalance) -> list[Check]:
    """Facts have not taken more from the debit shards meanwhile than the debit leaves over."""
    least = seen.least_debits(-movement.spendable)
    return [
        check(
            Account,
            {"id": movement.account_id, "shard": shard},
            _untouched_or_at_least(seen.debits[shard], balance),
        )
        for shard, balance in least.items()
    ]


def resolve_movement(movement: Movement, operation: Operation) -> Update:
    """What a hold's end changes in an account; neither lock nor status nor funds forbid it."""
    held = [at_least("held_out", -movement.held_out), at_least("held_in", -movement.held_in)]
    return _moved(movement, operation).when(*held)


def lock_account(account_id: str, owner: str, until: Timestamp, operation: Operation) -> Update:
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
        usable = (*usable, one_of("account_type", ORDINARY_TYPES))
    return usable if terms.owner is None else (*usable, equals("merchant_id", terms.owner))


def _guard(needed: int, terms: Terms) -> tuple[Condition, ...]:
    return (at_least("spendable", needed), unlocked(terms.at))


def _untouched_or_at_least(seen: int, least: int) -> Condition:
    """A debit shard that was not there yet may be there by now, if it took little enough."""
    enough = at_least("balance", least)
    return enough if seen else any_of(absent("id"), enough)
