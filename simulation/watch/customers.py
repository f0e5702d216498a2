"""Customers after every commit: failures are counted, the last locks, a locked one never pays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from simulation.watch.commits import Commit, RowChange
from simulation.watch.values import Item, number, text

FAILURES: Final = 3
"""Failures in a row that lock a customer; the simulated stage has the default."""
_NOT_OF_THE_CUSTOMER: Final = frozenset(
    {
        *("canceled", "issuer_unavailable", "processing_error", "processor_configuration"),
        *("processor_rate_limited", "processor_rejected", "processor_unreachable"),
    }
)
"""Decline codes that are not counted: the customer's bank has not judged the customer."""


@dataclass(eq=False)
class CustomerRule:
    """Locks of customers: set by the failure that is one too many, and never passed."""

    tables: tuple[str, ...] = ("customers", "payments")
    _rows: dict[str, Item] = field(default_factory=dict)

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches customers or payments."""
        changed = {change.key[0] for change in commit.of("customers")}
        if not commit.by_hand:
            for change in commit.of("customers"):
                for fault in _lock_faults(change):
                    commit.report("lock-out", f"{change.key[0]} {fault}")
            for change in commit.of("payments"):
                for fault in self._payment_faults(change, changed):
                    commit.report("lock-out", f"{change.key[0]} {fault}")
        for change in commit.of("customers"):
            if change.new is not None:
                self._rows[change.key[0]] = change.new

    def _payment_faults(self, change: RowChange, changed: set[str]) -> Iterator[str]:
        _, old, new = change
        customer_id = "" if new is None else text(new, "customer_id")
        customer = self._rows.get(customer_id)
        if new is None or customer is None:
            return
        locked_until = text(customer, "locked_until")
        if old is None:
            if locked_until > text(new, "created_at"):
                yield f"begins for {customer_id}, which is locked until {locked_until}"
            return
        failed = text(new, "status") == "failed" != text(old, "status")
        counts = text(new, "failure_code") not in _NOT_OF_THE_CUSTOMER
        if failed and counts and customer_id not in changed and not text(customer, "erased_at"):
            yield f"failed, and is not counted against {customer_id}"


def _lock_faults(change: RowChange) -> Iterator[str]:
    _, old, new = change
    if old is None or new is None:
        return
    before, after = number(old, "failed_attempts"), number(new, "failed_attempts")
    locked_until = text(new, "locked_until")
    if after >= FAILURES and not locked_until:
        yield f"has {after} failures in a row, and is not locked"
    if locked_until > text(old, "locked_until") and (before, after) != (FAILURES - 1, FAILURES):
        yield f"is locked by failure {after} after {before}"
