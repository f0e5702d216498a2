"""A customer's failures in a row, counted in the transaction that records the attempt.

Nothing is read before it. The first guess is that the failure is one to be counted; where it is
not, the refused write's old item says what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from runtime.core.change_context import ChangeContext
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp
from runtime.customers.lockout_rules import Lockout, Standing, standing_of
from runtime.customers.models import Customer
from runtime.customers.repository import CustomerLock, customer_of, unlocked
from runtime.dynamodb.codec import Codec, Item
from runtime.dynamodb.expressions import (
    Condition,
    Update,
    Write,
    above,
    absent,
    any_of,
    at_least,
    at_most,
    below,
    update,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A customer's attempt that has ended, by whose change and when.

    `also_locked`: what is locked together with the customer.
    """

    customer_id: str
    merchant_id: str
    failed: bool
    rule: Lockout
    context: ChangeContext
    now: datetime
    also_locked: tuple[Update, ...] = ()

    @property
    def at(self) -> Timestamp:
        """When it ended, as it is stored."""
        return to_timestamp(self.now)


@dataclass(frozen=True, slots=True)
class CountedAttempt:
    """Side writes (side_writes.py): what an attempt changes of its customer, standing so."""

    attempt: Attempt
    codec: Codec
    standing: Standing = Standing.COUNTING

    @property
    def writes(self) -> Sequence[Write]:
        """The customer's change, and the other locks if this is the failure that locks."""
        attempt = self.attempt
        if not attempt.failed:
            return (_succeeded(attempt),)
        step = _failed(attempt, self.standing)
        return (step, *attempt.also_locked) if self.standing is Standing.AT_THE_LAST else (step,)

    def after(self, refused: Mapping[int, Item]) -> CountedAttempt | None:
        """Counted as the customer stands by now; a customer that is gone has nothing to count."""
        attempt = self.attempt
        lockable = (lock for at, lock in enumerate(attempt.also_locked, 1) if at not in refused)
        attempt = replace(attempt, also_locked=tuple(lockable))
        if 0 not in refused:
            return replace(self, attempt=attempt)
        if not attempt.failed or not refused[0]:
            return None
        customer = self.codec.to_row(Customer.table_schema, refused[0], CustomerLock)
        if customer.merchant_id != attempt.merchant_id or customer.erased_at:
            return None
        standing = standing_of(
            customer.failed_attempts, customer.locked_until, attempt.rule, attempt.at
        )
        return replace(self, attempt=attempt, standing=standing)


def end_of_failures(
    customer_id: str, merchant_id: str, at: Timestamp, context: ChangeContext, *more: Condition
) -> Update:
    """A success: failures are counted from zero again, if no lock stands and `more` hold."""
    step = Update(Customer.table_schema, {"id": customer_id}, removed=("locked_until",))
    stamped = _stamped(step.assign(failed_attempts=0), at, context)
    return stamped.when(*customer_of(merchant_id), unlocked(at), *more)


def _succeeded(attempt: Attempt) -> Update:
    failures = above("failed_attempts", 0)
    return end_of_failures(
        attempt.customer_id, attempt.merchant_id, attempt.at, attempt.context, failures
    )


def _failed(attempt: Attempt, standing: Standing) -> Update:
    """One more failure of a customer that stands so, and only of one that does."""
    step = update(Customer, {"id": attempt.customer_id})
    last, at = attempt.rule.after_failures - 1, attempt.at
    conditions: tuple[Condition, ...]
    match standing:
        case Standing.COUNTING:
            few = any_of(absent("failed_attempts"), below("failed_attempts", last))
            step, conditions = step.count(failed_attempts=1), (absent("locked_until"), few)
        case Standing.AT_THE_LAST:
            step = step.count(failed_attempts=1).assign(
                locked_until=attempt.rule.until(attempt.now)
            )
            conditions = absent("locked_until"), at_least("failed_attempts", last)
        case Standing.LOCKED:
            step, conditions = step.count(failed_attempts=1), (above("locked_until", at),)
        case Standing.RUN_OUT:
            step = replace(step, removed=("locked_until",)).assign(failed_attempts=1)
            conditions = (at_most("locked_until", at),)
    stamped = _stamped(step, at, attempt.context)
    return stamped.when(*customer_of(attempt.merchant_id), *conditions)


def _stamped(step: Update, at: Timestamp, context: ChangeContext) -> Update:
    return step.add(version=1).assign(updated_at=at, **context.stamp())
