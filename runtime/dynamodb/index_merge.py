"""Merges index buckets into one list in id order, reading lazily."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from runtime.core.outside import Threads

MAX_PARALLEL_BUCKETS = 16
"""First pages read in parallel: there are up to 256 buckets, and a Lambda has little CPU."""

Entry = TypeVar("Entry")


def merge_newest_first(
    readers: Sequence[Iterator[Entry]],
    threads: Callable[[int], Threads],
    *,
    key: Callable[[Entry], str],
) -> Iterator[Entry]:
    """Merge readers that each yield in descending `key` order; first pages are read in parallel."""
    if len(readers) == 1:
        return readers[0]
    with threads(MAX_PARALLEL_BUCKETS) as pool:
        started = list(pool.map(_started, readers))
    return heapq.merge(*started, key=key, reverse=True)


def in_order_of_place(
    entries: Iterable[Entry], *, time: Callable[[Entry], str], place: Callable[[Entry], str]
) -> Iterator[Entry]:
    """Entries sorted by time, newest first, with ties sorted by place.

    DynamoDB does not define the order of entries with the same sort key.
    """
    for _, together in groupby(entries, key=time):
        yield from sorted(together, key=place, reverse=True)


def _started(reader: Iterator[Entry]) -> Iterator[Entry]:
    first = next(reader, None)
    return iter(()) if first is None else _resumed(first, reader)


def _resumed(first: Entry, rest: Iterator[Entry]) -> Iterator[Entry]:
    yield first
    yield from rest
