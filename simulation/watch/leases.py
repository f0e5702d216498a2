"""Payments and operations under a lease: only its owner may take or capture them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from simulation.watch.commits import Commit, RowChange
from simulation.watch.keys import MOST_SKEW_SECONDS
from simulation.watch.values import number, text

_TABLES: Final = ("payments", "transactions")


class LeaseRule:
    """A lease belongs to its owner until it is over; what is being closed is not captured.

    `epoch` is the Unix time of the virtual time 0. Clocks of environments differ a little, so a
    lease may be taken that much earlier.
    """

    tables = _TABLES

    def __init__(self, epoch: float) -> None:
        self.epoch = epoch

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches payments or their transactions."""
        if commit.by_hand:
            return
        for table in _TABLES:
            for change in commit.of(table):
                for fault in self._faults(change, self.epoch + commit.at):
                    commit.report("lease", f"{change.key[0]} {fault}")

    def _faults(self, change: RowChange, now: float) -> Iterator[str]:
        _, old, new = change
        if old is None or new is None:
            return
        was, owner = text(old, "lease_owner"), text(new, "lease_owner")
        until = text(old, "lease_expires_at")
        if was and owner and owner != was and _seconds(until) > now + MOST_SKEW_SECONDS:
            yield f"is taken by {owner}, and belongs to {was} until {until}"
        closing = text(old, "closing_id")
        pending = "pending_capture_minor"
        if closing and number(new, pending) > number(old, pending):
            yield f"is captured while {closing} closes it"


def _seconds(instant: str) -> float:
    """Unix time of an instant as it is stored; 0 where there is none."""
    if not instant:
        return 0.0
    return datetime.fromisoformat(instant).astimezone(UTC).timestamp()
