"""Pages of lists: filled to the limit while more match, within a read budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from runtime.http.cursors import seal, unseal
from runtime.http.shapes import PageQuery

READ_BUDGET = 1_000
"""Index entries read for one page; a sparser page ends there, with a cursor to continue."""

UNORDERED_CHUNK = 1_000
"""Index entries that are sorted together where an index has no order of its own: such a list is
newest first within each chunk, and exactly so up to this size."""

Entry = TypeVar("Entry")
Row = TypeVar("Row")


class CursorKey(Protocol):
    """Provides the key that seals cursors."""

    def __call__(self) -> bytes:
        """The key, 32 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Slice(Generic[Entry]):
    """The entries of one page, and the position to continue from (None: the end)."""

    entries: tuple[Entry, ...]
    next_position: str | None


def take_page(
    entries: Iterable[Entry],
    *,
    limit: int,
    position: Callable[[Entry], str],
    matches: Callable[[Entry], bool] = lambda _: True,
    budget: int = READ_BUDGET,
) -> Slice[Entry]:
    """The first `limit` entries that match, reading at most `budget`."""
    found: list[Entry] = []
    last = ""
    for looked_at, entry in enumerate(entries, start=1):
        if matches(entry):
            if len(found) == limit:
                return Slice(tuple(found), last)
            found.append(entry)
        last = position(entry)
        if looked_at >= budget:
            return Slice(tuple(found), last)
    return Slice(tuple(found), None)


def newest_of_chunk(
    partitions: Sequence[str],
    read: Callable[[str, str | None], Iterator[str]],
    *,
    limit: int,
    position: str | None,
) -> Slice[str]:
    """One page of ids from an index without an order: a chunk of it sorted, newest first.

    `read(partition, start_after)` yields the ids of one index key in a stable order. A position
    contains where the chunk begins in the index, and after which id the page continues.
    """
    start, after_id = json.loads(position) if position else ([0, None], None)
    places = list(islice(_places(partitions, read, start), UNORDERED_CHUNK + 1))
    chunk = places[:UNORDERED_CHUNK]
    ids = sorted((identifier for _, identifier in chunk), reverse=True)
    left = [identifier for identifier in ids if after_id is None or identifier < after_id]
    taken = tuple(left[:limit])
    if len(left) > limit:
        return Slice(taken, json.dumps([start, taken[-1]]))
    if len(places) > UNORDERED_CHUNK:
        return Slice(taken, json.dumps([list(chunk[-1]), None]))
    return Slice(taken, None)


def _places(
    partitions: Sequence[str],
    read: Callable[[str, str | None], Iterator[str]],
    start: Sequence[int | str | None],
) -> Iterator[tuple[int, str]]:
    """Number of the partition and id of the entry, in the order of the index."""
    first, start_after = int(start[0] or 0), start[1]
    for number, partition in enumerate(partitions[first:], start=first):
        begin = str(start_after) if number == first and start_after is not None else None
        for identifier in read(partition, begin):
            yield number, identifier


def read_in_batches(
    entries: Iterable[Entry], read: Callable[[list[Entry]], Iterable[Row]], *, size: int
) -> Iterator[Row]:
    """The rows behind index entries, read lazily, `size` at a time."""
    left = iter(entries)
    while batch := list(islice(left, size)):
        yield from read(batch)


@dataclass(frozen=True, slots=True)
class ListCursor:
    """The cursor of one list request, valid only for this list and these filters."""

    key: CursorKey
    query: PageQuery
    scope: tuple[str, ...]

    @property
    def position(self) -> str | None:
        """Where the requested page starts; None: at the beginning. Raises BadCursor."""
        if self.query.cursor is None:
            return None
        return unseal(self.key(), self._binding, self.query.cursor)

    def after(self, position: str | None) -> str | None:
        """The cursor of the next page, which starts after `position`; None on the last page."""
        return None if position is None else seal(self.key(), self._binding, position)

    @property
    def _binding(self) -> str:
        filters = self.query.model_dump(mode="json", exclude={"cursor", "limit", "merchant_id"})
        return json.dumps([*self.scope, filters], sort_keys=True)


@dataclass(frozen=True, slots=True)
class Cursors:
    """Makes the cursors of lists."""

    key: CursorKey

    def of(self, query: PageQuery, *scope: str) -> ListCursor:
        """The cursor of a request; `scope` names the list and whose it is."""
        return ListCursor(self.key, query, scope)
