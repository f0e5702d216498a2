"""All rows of a platform at rest, read past its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulation.watch.values import Item

Faults = Iterator[str]
"""What is wrong, in words."""


@dataclass(frozen=True)
class Rows:
    """Items by table, by the names in their schemas."""

    items: Mapping[str, Mapping[Any, Item]]

    def of(self, table: str) -> Iterator[Item]:
        """All items of a table."""
        return iter(self.items[table].values())

    def by_id(self, table: str) -> dict[str, Item]:
        """Items of a table whose key is one attribute, by that."""
        return {str(_only(key)): item for key, item in self.items[table].items()}


def _only(key: Any) -> Any:
    return key[0] if isinstance(key, tuple) else key
