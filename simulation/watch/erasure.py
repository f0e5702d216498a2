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
    """The commit that erases a customer erases all of its keys, and no personal field stays.

    What is left of a key is a row without it. A request that began before may make a new key
    afterwards: nothing was encrypted with that, and nothing is stored with it any more.
    """

    tables: tuple[str, ...] = ("customers", "keys")
    _keys: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    """The keys that there are of each customer."""

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches customers or their keys."""
        for key, _, new in commit.of("keys"):
            mine = self._keys[key[0].partition("#")[2]]
            if new is not None and _is_there(new, "wrapped"):
                mine.add(key)
            else:
                mine.discard(key)
        for key, old, new in commit.of("customers"):
            if new is None or not text(new, "erased_at") or commit.by_hand:
                continue
            if (old is None or not text(old, "erased_at")) and self._keys[key[0]]:
                commit.report("erasure", f"{key[0]} keeps its keys {sorted(self._keys[key[0]])}")
            left = [name for name in _PERSONAL if _is_there(new, name)]
            if left:
                commit.report("erasure", f"{key[0]} was erased, and still has {left}")


def _is_there(item: Item, name: str) -> bool:
    return name in item and "NULL" not in item[name]
