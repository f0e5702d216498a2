"""Payments that a customer began, by minute: sets of ids in the `limits` table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from runtime.compliance.rules import VELOCITY_PERIOD
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.expressions import absent, any_of, shorter, update
from runtime.dynamodb.store import Store
from runtime.payments.rate_limits.models import CustomerMinute, LimitCounter
from runtime.settings import MAX_VELOCITY_PAYMENTS

MOST_KEPT: Final = MAX_VELOCITY_PAYMENTS
"""Payment ids kept per customer and minute, about 30 bytes each. The condition is checked before
the addition, so the last stream batch may exceed it."""
KEPT_FOR: Final = timedelta(days=2)
"""Longer than a stream keeps its records (24 hours)."""


class VelocityRepository:
    """The customer minutes in the limits table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, customer_id: str, minute: datetime, payment_ids: frozenset[str]) -> None:
        """Add payments to a customer's minute; does nothing once it holds MOST_KEPT."""
        expires_at = to_epoch_seconds(minute + VELOCITY_PERIOD + KEPT_FOR)
        step = update(LimitCounter, {"id": _minute_id(customer_id, minute)})
        self._store.update_alone(
            step.assign(expires_at=expires_at)
            .include(payments=payment_ids)
            .when(any_of(absent("payments"), shorter("payments", MOST_KEPT)))
        )

    def noted(self, customer_id: str, minutes: Iterable[datetime]) -> frozenset[str]:
        """The payments in all of these minutes, strongly consistent."""
        keys = [{"id": _minute_id(customer_id, minute)} for minute in minutes]
        rows = self._store.get_many(LimitCounter, keys, CustomerMinute, UNRESTRICTED)
        return frozenset().union(*(row.payments for row in rows))


def _minute_id(customer_id: str, minute: datetime) -> str:
    return f"velocity#{customer_id}#{to_timestamp(minute)}"
