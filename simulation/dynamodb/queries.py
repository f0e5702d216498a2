"""Query and Scan: pages of up to 1 MB, or as many items as are asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final

from simulation.dynamodb.capacity import Consumed, consistency_of
from simulation.dynamodb.catalog import Catalog
from simulation.dynamodb.commits import Commits
from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.compiled import VALUES, Compiled, compiled, judge_stray_part
from simulation.dynamodb.expressions.ranges import KeyRange, key_range
from simulation.dynamodb.expressions.reading import Values
from simulation.dynamodb.indexes import Index, Key, Rank
from simulation.dynamodb.requests import EXPRESSION_PARTS, Answer, Request, answer, only, projected
from simulation.dynamodb.sizes import PAGE_BYTES, size_of
from simulation.dynamodb.tables import HASHES, Table, hash_of
from simulation.dynamodb.values import Item, Plain, canonical_item, plain

MAX_SEGMENTS: Final = 1_000_000
_PAGED: Final = EXPRESSION_PARTS | {
    "TableName",
    "ConsistentRead",
    "ExclusiveStartKey",
    "Limit",
    "ProjectionExpression",
    "ReturnConsumedCapacity",
}
_QUERY: Final = _PAGED | {"IndexName", "KeyConditionExpression", "ScanIndexForward"}
_SCAN: Final = _PAGED | {"FilterExpression", "Segment", "TotalSegments"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request is about."""

    table: Table
    index: Index | None
    expressions: Compiled
    values: Values


@dataclass(frozen=True, slots=True)
class _Page:
    """Items that were read, their bytes, and whether the page ended before its range did."""

    items: list[Item]
    size: int
    full: bool


class Queries:
    """Query and Scan of one account's tables."""

    def __init__(self, catalog: Catalog, commits: Commits) -> None:
        self._catalog = catalog
        self._commits = commits

    def query(self, **request: Any) -> Answer:
        """As the operation of this name. An index shows what it has heard of."""
        only(request, _QUERY, "Query")
        asked = self._asked(request)
        table, index = asked.table, asked.index
        keys = table if index is None else index
        wanted = key_range(
            asked.expressions.key,
            asked.values,
            (keys.partition_key, keys.sort_key),
            table.types,
        )
        given = request.get("ExclusiveStartKey")
        start = None if given is None else canonical_item(given)
        forward = request.get("ScanIndexForward", True)
        items = (
            _of_table(table, wanted, start, forward)
            if index is None
            else _of_index(table, index, wanted, start, forward)
        )
        return _answered(asked, request, items)

    def scan(self, **request: Any) -> Answer:
        """As the operation of this name; partitions come in the order of a hash of their keys."""
        only(request, _SCAN, "Scan")
        asked = self._asked(request)
        table = asked.table
        low, high = _segment(table, request)
        start = request.get("ExclusiveStartKey")
        keys: Iterable[Key]
        if start is None:
            keys = chain.from_iterable(table.partitions[p] for _, p in table.order[low:high])
        else:
            keys = _behind(table, table.key(start), low, high)
        return _answered(asked, request, (table.items[key] for key in keys))

    def _asked(self, request: Request) -> _Asked:
        table = self._catalog.table(request["TableName"])
        judge_stray_part(request)
        expressions = compiled(request)
        values = expressions.given(request.get(VALUES))
        return _Asked(table, self._index(table, request), expressions, values)

    def _index(self, table: Table, request: Request) -> Index | None:
        name = request.get("IndexName")
        if name is None:
            return None
        index = table.indexes.get(name)
        if index is None:
            raise invalid(f"The table does not have the specified index: {name}")
        if request.get("ConsistentRead"):
            raise invalid("Consistent reads are not supported on global secondary indexes")
        index.catch_up(self._commits.now())
        return index


def _of_table(table: Table, wanted: KeyRange, start: Item | None, forward: bool) -> Iterator[Item]:
    members = table.partitions.get(wanted.partition, [])
    behind = None if start is None else table.key(start)
    sort_of = itemgetter(-1)
    return (table.items[key] for key in _ranked(members, wanted, sort_of, behind, forward))


def _of_index(
    table: Table, index: Index, wanted: KeyRange, start: Item | None, forward: bool
) -> Iterator[Item]:
    members = index.partitions.get(wanted.partition, [])
    behind = None if start is None else _rank(table, index, start)
    ranks = _ranked(members, wanted, itemgetter(0), behind, forward)
    return (index.shown(key) for _, key in ranks)


def _ranked(
    members: list[Any],
    asked: KeyRange,
    sort_of: Callable[[Any], Plain],
    start: Key | Rank | None,
    forward: bool,
) -> Iterator[Any]:
    """Those members of a partition that lie within the range, behind `start`, in their order."""
    low, high = 0, len(members)
    for operator, bound in asked.bounds:
        find = bisect_left if operator in (">=", "<") else bisect_right
        at = find(members, bound, key=sort_of)
        if operator in (">", ">="):
            low = max(low, at)
        else:
            high = min(high, at)
    if start is not None and forward:
        low = max(low, bisect_right(members, start))
    elif start is not None:
        high = min(high, bisect_left(members, start))
    found = members[low:high]
    return iter(found) if forward else reversed(found)


def _rank(table: Table, index: Index, start: Item) -> Rank:
    sort = "" if index.sort_key is None else plain(start[index.sort_key])
    return sort, table.key({name: start[name] for name in table.key_names})


def _segment(table: Table, request: Request) -> tuple[int, int]:
    """The partitions of a segment, as positions in the table's order."""
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if (segment is None) != (total is None):
        raise invalid("Segment and TotalSegments must be specified together")
    if segment is None or total is None:
        return 0, len(table.order)
    if not 1 <= total <= MAX_SEGMENTS or not 0 <= segment < total:
        raise invalid(f"Segment {segment} of {total} does not exist")
    borders = (segment * HASHES // total, (segment + 1) * HASHES // total)
    low, high = (bisect_left(table.order, (border,)) for border in borders)
    return low, high


def _behind(table: Table, start: Key, low: int, high: int) -> Iterator[Key]:
    """The keys behind `start`, which need not be there any more."""
    place = (hash_of(start[0]), start[0])
    low = max(low, bisect_left(table.order, place))
    for each in table.order[low:high]:
        keys = table.partitions[each[1]]
        yield from keys[bisect_right(keys, start) :] if each == place else keys


def _page(items: Iterator[Item], limit: int | None, largest: int, *, exact: bool) -> _Page:
    """Items up to the limits; none has more than `largest` bytes.

    Their size is `exact` only if it is asked for, or matters.
    """
    if limit is not None and limit < 1:
        raise invalid("Limit must be greater than or equal to 1")
    few = PAGE_BYTES // max(largest, 1)  # so many do not go beyond a page
    read = list(islice(items, few if limit is None else min(few, limit)))
    size = sum(map(size_of, read)) if exact or len(read) == few else 0
    while size < PAGE_BYTES and len(read) != limit:
        item = next(items, None)
        if item is None:
            return _Page(read, size, full=False)
        read.append(item)
        size += size_of(item)
    return _Page(read, size, full=True)


def _answered(asked: _Asked, request: Request, items: Iterator[Item]) -> Answer:
    consumed = Consumed(request)
    table, index = asked.table, asked.index
    page = _page(items, request.get("Limit"), table.largest, exact=consumed.wanted)
    name = None if index is None else index.name
    consumed.read(table, page.size, consistency_of(request), name)
    keep, wanted = asked.expressions.keep, asked.expressions.projection
    kept = page.items if keep is None else [each for each in page.items if keep(each, asked.values)]
    shown = [projected(item, wanted) for item in kept]
    reported = answer(Items=shown, Count=len(shown), ScannedCount=len(page.items), **consumed.one())
    if page.full:
        # It may be the last page: "does not necessarily mean that there is more" (API reference).
        names = table.key_names if index is None else (*table.key_names, *index.key_names)
        last = page.items[-1]
        reported["LastEvaluatedKey"] = {each: last[each] for each in names}
    return reported
