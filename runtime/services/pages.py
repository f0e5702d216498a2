"""Pages of lists: filled to the limit while more match, within a read budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from runtime.contract.base import PageQuery
from runtime.domain.cursors import seal, unseal

READ_BUDGET = 1_000
"""Index entries that one page may look at; a sparser page ends there, with a cursor to go on."""

Entry = TypeVar("Entry")


class CursorKey(Protocol):
    """Gives the key that seals cursors."""

    def __call__(self) -> bytes:
        """The key, 32 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Slice(Generic[Entry]):
    """The entries of one page, and the position to go on from (None: that was all)."""

    entries: tuple[Entry, ...]
    next_position: str | None


def take_page(
    entries: Iterable[Entry],
    *,
    limit: int,
    position: Callable[[Entry], str],
    matches: Callable[[Entry], bool],
) -> Slice[Entry]:
    """The first `limit` entries that match, looking at no more than READ_BUDGET."""
    found: list[Entry] = []
    last = ""
    for looked_at, entry in enumerate(entries, start=1):
        if matches(entry):
            if len(found) == limit:
                return Slice(tuple(found), last)
            found.append(entry)
        last = position(entry)
        if looked_at >= READ_BUDGET:
            return Slice(tuple(found), last)
    return Slice(tuple(found), None)


@dataclass(frozen=True, slots=True)
class Cursors:
    """Seals and opens the cursors of one list, bound to its owner and filters."""

    key: CursorKey

    def position(self, query: PageQuery, *scope: str) -> str | None:
        """Where the query's cursor points, or None for the first page. Raises BadCursor."""
        if query.cursor is None:
            return None
        return unseal(self.key(), _binding(query, scope), query.cursor)

    def cursor(self, query: PageQuery, position: str | None, *scope: str) -> str | None:
        """The cursor for `position`."""
        if position is None:
            return None
        return seal(self.key(), _binding(query, scope), position)


def _binding(query: PageQuery, scope: tuple[str, ...]) -> str:
    filters = query.model_dump(mode="json", exclude={"cursor", "limit", "merchant_id"})
    return json.dumps([*scope, filters], sort_keys=True)
