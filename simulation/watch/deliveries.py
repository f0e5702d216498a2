"""Webhook deliveries, alerts and settlement lines after every commit: what is said stays said."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from simulation.watch.commits import Commit, RowChange
from simulation.watch.values import Item, number, text

_DELIVERY: Final = (
    *("event_type", "sequence", "merchant_id", "payment_id", "event_key", "payload"),
    *("request_id", "endpoint_id"),
)
_LINE: Final = ("settlement_id", "identity", "merchant_id")
ATTEMPTS: Final = 1
"""One commit claims one attempt."""
LEASE: Final = timedelta(seconds=60)
"""An attempt has this long before another worker may take the delivery."""


class DeliveryRule:
    """A delivery's event never changes, each attempt is claimed, and what is pending is indexed."""

    tables = ("webhooks",)

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches deliveries; rows of endpoints are left out."""
        for change in commit.of("webhooks"):
            fault = _fault(change)
            if fault is not None and not commit.by_hand:
                commit.report("webhook", f"{change.key[0]} {fault}")


class LineRule:
    """A settlement line keeps its identity, and its bookings are only added to."""

    tables = ("settlement_lines",)

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches settlement lines."""
        for key, old, new in commit.of("settlement_lines"):
            if old is None or new is None or commit.by_hand:
                continue
            for name in _LINE:
                if old.get(name) != new.get(name):
                    commit.report("settlement line", f"{key} changes its {name}")
            before = old.get("bookings", {}).get("L", [])
            after = new.get("bookings", {}).get("L", [])
            if after[: len(before)] != before:
                commit.report("settlement line", f"{key} forgets what was booked of it")


def _fault(change: RowChange) -> str | None:
    key, old, new = change
    if key[0].startswith("endpoint#") or old is None or new is None:
        return None
    for name in _DELIVERY:
        if old.get(name) != new.get(name):
            return f"changes its {name}"
    more = number(new, "attempts") - number(old, "attempts")
    if not 0 <= more <= ATTEMPTS:
        return f"counts {more} attempts at once"
    final = text(old, "status") != "pending"
    if final and text(new, "status") == "pending" and not _asked_for(old, new):
        return f"was {text(old, 'status')}, and is sent again without anybody asking"
    return _forgettable(new, more) if text(new, "status") == "pending" else None


def _asked_for(old: Item, new: Item) -> bool:
    """Whether the delivery was requested, or all that its endpoint has not accepted."""
    recovered = "undelivered_bucket" in old and "undelivered_bucket" not in new
    return "by_hand" in new or recovered


def _forgettable(pending: Item, attempts: int) -> str | None:
    """Why a pending delivery could be forgotten, or sent twice at once; None if it cannot."""
    due = text(pending, "next_retry")
    if not due or not text(pending, "retry_bucket"):
        return "is pending, and is not in the index of what is due"
    if attempts and _moment(due) - _moment(text(pending, "last_attempt")) < LEASE:
        return f"is being attempted, and due again at {due}"
    return None


def _moment(stored: str) -> datetime:
    return datetime.fromisoformat(stored)
