"""Compliance rules applied to the change streams; each finding raises an alert.

Apart from velocity, which counts in sets of ids, a rule depends on one change only: a change that
is redelivered, late or out of order raises the same alert.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from runtime.alerts.models import AlertFacts
from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.compliance.repository import VelocityRepository
from runtime.compliance.rules import VELOCITY_PERIOD, busy_minutes, minute_of, velocity
from runtime.core.observability import logger
from runtime.core.outside import Threads
from runtime.dynamodb.errors import InvalidRequest
from runtime.payments.models import Payment
from runtime.streams.records import Change, Failed, Kind

PARALLEL_WRITES = 8
"""Alerts written in parallel: they are independent, and a Lambda has little CPU."""
Rule = Callable[[Any, Any], AlertFacts | None]
"""Compares a row before (None: new) and after a change."""
Work = TypeVar("Work")


@dataclass(frozen=True)
class RuleProjection:
    """Raises an alert for each change of one table that matches a rule."""

    rule: Rule
    alerts: AlertRepository
    threads: Callable[[int], Threads]

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Apply the rule to each change. Returns the records to retry."""
        new = [change for change in changes if change.new is not None]
        undone = _undone(self._judge, new, self.threads)
        return frozenset(change.sequence_number for change in undone)

    def _judge(self, change: Change) -> None:
        finding = self.rule(change.old, change.new)
        if finding is not None:
            raise_alert(finding, self.alerts)


@dataclass(frozen=True, slots=True)
class _Minute:
    """A minute of one customer, and the payments created in it."""

    customer_id: str
    merchant_id: str
    begin: datetime
    changes: list[Change]


@dataclass(frozen=True)
class VelocityProjection:
    """Records each new payment of a customer, and raises an alert at `threshold` per period.

    The adjacent minutes are read after the payment is recorded. Of two projectors that each record
    one payment, at least one therefore sees both.
    """

    minutes: VelocityRepository
    alerts: AlertRepository
    threshold: int
    threads: Callable[[int], Threads]

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Record new payments by customer and minute, and check the minutes they affect."""
        undone = _undone(self._judge, _by_minute(changes), self.threads)
        return frozenset(change.sequence_number for each in undone for change in each.changes)

    def _judge(self, minute: _Minute) -> None:
        customer_id, begin = minute.customer_id, minute.begin
        self.minutes.note(customer_id, begin, frozenset(each.new.id for each in minute.changes))
        before, after = begin - VELOCITY_PERIOD, begin + VELOCITY_PERIOD
        known = self.minutes.noted(customer_id, (before, begin, after))
        for busy, payment_ids in busy_minutes(known, self.threshold).items():
            if busy >= begin:  # the minute before does not depend on these payments
                finding = velocity(customer_id, minute.merchant_id, busy, payment_ids)
                raise_alert(finding, self.alerts)


def _by_minute(changes: Sequence[Change]) -> list[_Minute]:
    found: dict[tuple[str, datetime], _Minute] = {}
    for change in changes:
        payment: Payment | None = change.new
        if change.kind is not Kind.INSERT or payment is None or payment.customer_id is None:
            continue
        try:
            begin = minute_of(payment.id)
        except ValueError:
            # Not created by the platform: the audit log reports it, and a retry does not help.
            logger.warning("a payment's id has no timestamp", payment=payment.id)
            continue
        minute = _Minute(payment.customer_id, payment.merchant_id, begin, [])
        found.setdefault((payment.customer_id, begin), minute).changes.append(change)
    return list(found.values())


def _undone(
    do: Callable[[Work], None], pieces: Sequence[Work], threads: Callable[[int], Threads]
) -> list[Work]:
    """Process each of `pieces`. Returns those that failed."""

    def is_done(piece: Work) -> bool:
        try:
            do(piece)
        except InvalidRequest:
            raise
        except Exception:  # noqa: BLE001 - this one is retried, the others are processed
            logger.exception("an alert could not be raised")
            return False
        return True

    with threads(PARALLEL_WRITES) as pool:
        done = list(pool.map(is_done, pieces))
    return [piece for piece, is_so in zip(pieces, done, strict=True) if not is_so]
