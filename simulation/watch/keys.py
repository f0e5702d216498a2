"""Idempotency keys after every commit: one answer for each, which never changes.

A claim in progress belongs to its owner until it is completed, and never expires. A completed one
may be replaced once it has expired. Payments name the claim that they were made under.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from simulation.watch.commits import Commit, RowChange
from simulation.watch.values import Item, number, text

_FIXED: Final = ("merchant_id", "fingerprint", "owner", "created_at", "request_id")
MOST_SKEW_SECONDS: Final = 10.0
"""Clocks of environments may differ by so much: a key may be taken that early."""


@dataclass(eq=False)
class KeyRule:
    """One claim, one answer and one payment for each idempotency key while it is kept.

    `epoch` is the Unix time of the virtual time 0.
    """

    epoch: float
    tables: tuple[str, ...] = ("idempotency", "payments")
    _payments: dict[str, str] = field(default_factory=dict)
    """The newest payment of each claim key."""

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches claims or payments."""
        if commit.by_hand:
            return
        for change in commit.of("idempotency"):
            fault = self._fault(change, commit.at)
            if fault is not None:
                commit.report("idempotency key", f"{change.key[0]} {fault}")
        for change in commit.of("payments"):
            if change.old is None and change.new is not None:
                self._begin_payment(change.key[0], change.new, commit)

    def _fault(self, change: RowChange, at: float) -> str | None:
        _, old, new = change
        if old is None:
            return None
        expired = self._is_expired(old, at)
        if new is None:
            return None if expired else "was deleted before it expired"
        if text(old, "state") == "completed":
            same = old == new or expired
            return None if same else "was answered, and now says something else"
        for name in _FIXED:
            if old.get(name) != new.get(name):
                return f"is in progress, and changes its {name}"
        done = text(new, "state") == "completed"
        return None if done == bool(number(new, "status_code")) else "has no answer, or half of one"

    def _is_expired(self, row: Item, at: float) -> bool:
        if text(row, "state") != "completed":
            return False
        expires_at = number(row, "expires_at")
        return bool(expires_at) and expires_at < self.epoch + at + MOST_SKEW_SECONDS

    def _begin_payment(self, payment_id: str, row: Item, commit: Commit) -> None:
        """Its claim is taken in the same commit, so a second payment needs an expired claim."""
        scope = text(row, "idempotency_scope")
        if not scope:
            return
        taken = {change.key[0]: change for change in commit.of("idempotency")}
        claim = taken.get(scope)
        if claim is None or claim.new is None:
            commit.report("idempotency key", f"{payment_id} is made without its claim {scope}")
            return
        first = self._payments.get(scope)
        kept = claim.old is not None and not self._is_expired(claim.old, commit.at)
        if first is not None and kept:
            commit.report("idempotency key", f"{scope} has made {first}, then {payment_id}")
        self._payments[scope] = payment_id
