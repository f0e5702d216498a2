"""Reads and writes of rate limit counters: one row per merchant and window."""

from __future__ import annotations

from runtime.core.timestamps import to_epoch_seconds
from runtime.dynamodb.expressions import Update, absent, all_of, any_of, at_most, below, update
from runtime.dynamodb.store import Store
from runtime.payments.rate_limits.models import LimitCounter
from runtime.payments.rate_limits.rules import COUNTER_RETENTION, Lease, Limit


class LimitReached(Exception):
    """The limit is exhausted in this window."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"{limit.counter_id}: {limit.payments} are used")
        self.limit = limit


def count_one(limit: Limit) -> Update:
    """Count a payment in the transaction that begins it, unless the limit is used up."""
    fits = below("used", limit.payments)
    return _counter(limit).count(used=1).when(any_of(absent("used"), fits))


class LimitRepository:
    """The limits table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def lease(self, limit: Limit, lease: Lease) -> LimitCounter | None:
        """Lease permits for one worker, with a single write: None, or the counter if it is refused.

        If the response is lost, a lease may be taken twice; the extra permits stay unused.
        """
        fits = at_most("used", lease.max_used(limit.payments))
        max_held = lease.max_held(limit.payments)
        if max_held is not None:
            fits = all_of(fits, any_of(absent("held"), at_most("held", max_held)))
        step = _counter(limit).count(used=lease.size, held=lease.held)
        refused = self._store.update_alone(step.when(any_of(absent("used"), fits)))
        if refused is None:
            return None
        return self._store.codec.to_row(LimitCounter.table_schema, refused, LimitCounter)


def _counter(limit: Limit) -> Update:
    expires_at = to_epoch_seconds(limit.end + COUNTER_RETENTION)
    return update(LimitCounter, {"id": limit.counter_id}).assign(expires_at=expires_at)
