"""Each audit row is in the lists by user and by merchant: with keys of its own, or with another."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import Item, text

_LISTING: Final = frozenset(
    {
        *("capture_succeeded", "refund_succeeded", "rebuilt"),
        *("payment_succeeded", "payment_requires_capture"),
    }
)
"""Actions of payments and transactions in whose commit other rows were stored."""
_KEYS: Final = ("user_bucket", "merchant_bucket")


def audit_list_faults(rows: Rows, edited: Set[str]) -> Faults:
    """A row without keys was stored with another that has them, and the same user and time."""
    listing = {
        (text(row, "entity_id"), *_origin(row))
        for row in rows.of("audit_log")
        if text(row, "action") in _LISTING and all(text(row, key) for key in _KEYS)
    }
    for row in rows.of("audit_log"):
        entity = text(row, "entity_id")
        own = entity.partition("_")[2]
        family = {f"{kind}_{own}" for kind in ("pay", "txn", "trf")}
        if edited & family or all(text(row, key) for key in _KEYS):
            continue
        others = {(each, *_origin(row)) for each in family - {entity}}
        if any(text(row, key) for key in _KEYS) or not others & listing:
            yield f"{entity} is missing in the lists of {text(row, 'user_id')} and its merchant"


def _origin(row: Item) -> tuple[str, str, str]:
    return text(row, "user_id"), text(row, "merchant_id"), text(row, "timestamp")
