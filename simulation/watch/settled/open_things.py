"""Nothing is open: no request in progress, no lease, no delivery, no file, no export."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import Item, text

_OPEN: Final[Mapping[str, tuple[str, ...]]] = {
    "payments": ("pending", "processing", "unknown", "requires_action"),
    "transactions": ("pending",),
    "exports": ("queued", "running"),
    "settlements": ("processing",),
    "settlement_files": ("processing",),
}
"""Statuses in which something waits for the platform itself."""


def unkept_keys(rows: Rows) -> frozenset[str]:
    """Keys whose request is done, and whose answer could not be stored.

    What has happened at a processor is booked while KMS is unavailable, too; its answer is not kept
    then, because it cannot be encrypted. The key answers with the payment as it stands.
    """
    return frozenset(
        key
        for key, item in rows.by_id("idempotency").items()
        if text(item, "state") != "completed" and _is_done(text(item, "resource_id"), rows)
    )


def _is_done(resource_id: str, rows: Rows) -> bool:
    table = "payments" if resource_id.startswith("pay_") else "transactions"
    item = rows.by_id(table).get(resource_id)
    return item is not None and text(item, "status") not in _OPEN[table]


def open_faults(rows: Rows, now: str, unkept: Set[str] = frozenset()) -> Faults:
    """What is still open at `now` (ISO 8601) though everything has had its time.

    `unkept`: keys whose answer could not be stored.
    """
    for table, statuses in _OPEN.items():
        for name, item in rows.by_id(table).items():
            if text(item, "status") in statuses:
                yield f"{table} {name} is still {text(item, 'status')}"
    for key, item in rows.by_id("idempotency").items():
        if text(item, "state") != "completed" and key not in unkept:
            yield f"the request with the key {key} is still in progress"
    for name, item in rows.by_id("transfers").items():
        if text(item, "status") == "pending" and text(item, "expires_at") < now:
            yield f"the hold {name} expired at {text(item, 'expires_at')}, and is pending"
    for table in ("payments", "transactions"):
        for name, item in rows.by_id(table).items():
            yield from _waiting(table, name, item, now)


def _waiting(table: str, name: str, item: Item, now: str) -> Faults:
    """A row in an index of what is to be done is there for a reason, and not overdue."""
    due = text(item, "next_action_at")
    if not text(item, "open_bucket"):
        if text(item, "status") == "requires_capture":
            yield f"{table} {name} requires a capture, and its authorization will never expire"
        return
    if text(item, "status") != "requires_capture":
        yield f"{table} {name} is {text(item, 'status')}, and stands among what is open"
    elif due < now:
        yield f"{table} {name} was due at {due}"
