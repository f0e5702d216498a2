"""Each audit row is in the lists by user and by merchant: with keys of its own, or with another."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import Item, text

_POSTING: Final = frozenset({"capture_succeeded", "refund_succeeded", "rebuilt"})
"""Actions of transactions in whose commit a posting was stored."""
_KEYS: Final = ("user_bucket", "merchant_bucket")


def audit_list_faults(rows: Rows, edited: Set[str]) -> Faults:
    """A row without keys is a posting's, and that of its transaction has the same user and time."""
    posting = {
        (text(row, "entity_id"), *_origin(row))
        for row in rows.of("audit_log")
        if text(row, "action") in _POSTING and all(text(row, key) for key in _KEYS)
    }
    for row in rows.of("audit_log"):
        entity = text(row, "entity_id")
        transaction = f"txn_{entity.removeprefix('trf_')}"
        if edited & {entity, transaction} or all(text(row, key) for key in _KEYS):
            continue
        if any(text(row, key) for key in _KEYS) or (transaction, *_origin(row)) not in posting:
            yield f"{entity} is missing in the lists of {text(row, 'user_id')} and its merchant"


def _origin(row: Item) -> tuple[str, str, str]:
    return text(row, "user_id"), text(row, "merchant_id"), text(row, "timestamp")
