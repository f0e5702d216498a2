"""Erased customers after every commit: no key is left that opens what was stored of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from simulation.watch.commits import Commit
from simulation.watch.values import Item, text

_PERSONAL: Final = ("name", "email", "phone", "payment_methods", "payment_tokens", "email_index")


@dataclass(eq=False)
class ErasureRule:
    """The commit that erases a customer erases the keys it was encrypted with, and its fields.

    What is left of a key is a row without it. A request that began before the erasure may make a
    key that the erasure did not see: nothing is encrypted with that, because every write of a
    customer is conditional on its version. So only keys count that were there when the row was
    last written.
    """

    tables: tuple[str, ...] = ("customers", "keys")
    _keys: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    """The keys that there are of each customer."""
    _in_use: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    """Those of them that may have encrypted something in its row."""

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches customers or their keys."""
        for key, _, new in commit.of("keys"):
            mine = self._keys[key[0].partition("#")[2]]
            if new is not None and _is_there(new, "wrapped"):
                mine.add(key)
            else:
                mine.discard(key)
        for key, old, new in commit.of("customers"):
            there = self._keys[key[0]]
            if new is None or not text(new, "erased_at") or commit.by_hand:
                self._in_use[key[0]] |= there
                continue
            kept = self._in_use[key[0]] & there
            if kept and (old is None or not text(old, "erased_at")):
                commit.report("erasure", f"{key[0]} keeps its keys {sorted(kept)}")
            left = [name for name in _PERSONAL if _is_there(new, name)]
            if left:
                commit.report("erasure", f"{key[0]} was erased, and still has {left}")


def _is_there(item: Item, name: str) -> bool:
    return name in item and "NULL" not in item[name]
