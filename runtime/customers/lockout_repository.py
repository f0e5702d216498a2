"""Count a customer's consecutive failures in the transaction that records the attempt.

The customer is not read first. The first write assumes LockoutState.COUNTING; if its condition
fails, the returned old item gives the actual state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from runtime.core.change_context import ChangeContext
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp
from runtime.customers.lockout_rules import Lockout, LockoutState, lockout_state
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
    """A completed attempt of a customer: its result, time and change context.

    `also_locked`: updates that lock other rows together with the customer.
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
        """The stored form of `now`."""
        return to_timestamp(self.now)


@dataclass(frozen=True, slots=True)
class CountedAttempt:
    """The optional writes that count an attempt of a customer in the given state."""

    attempt: Attempt
    codec: Codec
    state: LockoutState = LockoutState.COUNTING

    @property
    def writes(self) -> Sequence[Write]:
        """The customer's update, and the other locks if this failure locks the customer."""
        attempt = self.attempt
        if not attempt.failed:
            return (_succeeded(attempt),)
        step = _failed(attempt, self.state)
        return (step, *attempt.also_locked) if self.state is LockoutState.LAST_ATTEMPT else (step,)

    def after(self, refused: Mapping[int, Item]) -> CountedAttempt | None:
        """The writes for the actual state. None if the customer does not exist or was erased."""
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
        state = lockout_state(
            customer.failed_attempts, customer.locked_until, attempt.rule, attempt.at
        )
        return replace(self, attempt=attempt, state=state)


def reset_failures(
    customer_id: str, merchant_id: str, at: Timestamp, context: ChangeContext, *more: Condition
) -> Update:
    """Reset a customer's failures after a success, unless it is locked or `more` do not hold."""
    step = Update(Customer.table_schema, {"id": customer_id}, removed=("locked_until",))
    stamped = _stamped(step.assign(failed_attempts=0), at, context)
    return stamped.when(*customer_of(merchant_id), unlocked(at), *more)


def _succeeded(attempt: Attempt) -> Update:
    failures = above("failed_attempts", 0)
    return reset_failures(
        attempt.customer_id, attempt.merchant_id, attempt.at, attempt.context, failures
    )


def _failed(attempt: Attempt, state: LockoutState) -> Update:
    """Count a failure, on condition that the customer is in the given state."""
    step = update(Customer, {"id": attempt.customer_id})
    last, at = attempt.rule.after_failures - 1, attempt.at
    conditions: tuple[Condition, ...]
    match state:
        case LockoutState.COUNTING:
            few = any_of(absent("failed_attempts"), below("failed_attempts", last))
            step, conditions = step.count(failed_attempts=1), (absent("locked_until"), few)
        case LockoutState.LAST_ATTEMPT:
            step = step.count(failed_attempts=1).assign(
                locked_until=attempt.rule.until(attempt.now)
            )
            conditions = absent("locked_until"), at_least("failed_attempts", last)
        case LockoutState.LOCKED:
            step, conditions = step.count(failed_attempts=1), (above("locked_until", at),)
        case LockoutState.EXPIRED:
            step = replace(step, removed=("locked_until",)).assign(failed_attempts=1)
            conditions = (at_most("locked_until", at),)
    stamped = _stamped(step, at, attempt.context)
    return stamped.when(*customer_of(attempt.merchant_id), *conditions)


def _stamped(step: Update, at: Timestamp, context: ChangeContext) -> Update:
    return step.add(version=1).assign(updated_at=at, **context.stamp())
