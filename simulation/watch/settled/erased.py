"""Erased customers at rest: no key is left that could open what backups still have of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import text

_PERSONAL: Final = ("name", "email", "phone", "payment_methods", "payment_tokens", "email_index")


def erasure_faults(rows: Rows) -> Faults:
    """Erased customers with a data key, or with a personal field.

    What is left of a key is a row without it, so that nobody makes a new one.
    """
    keys: dict[str, list[str]] = defaultdict(list)
    for item in rows.of("keys"):
        purpose, _, customer = text(item, "subject").partition("#")
        if item.get("wrapped", {"NULL": True}) != {"NULL": True}:
            keys[customer].append(f"{purpose} {text(item, 'key_id')}")
    for name, item in sorted(rows.by_id("customers").items()):
        if not text(item, "erased_at"):
            continue
        if keys[name]:
            yield f"{name} was erased, and its keys {keys[name]} are still there"
        left = [each for each in _PERSONAL if each in item and "NULL" not in item[each]]
        if left:
            yield f"{name} was erased, and still has {left}"
