"""The audit log. Rows are only added."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ValidationError

from runtime.audit.chain import FIRST, Unreadable
from runtime.audit.listing import may_be_listed_with
from runtime.audit.models import AuditRow
from runtime.core.errors import ChainTooLong
from runtime.core.fields import Timestamp
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.dynamodb.codec import Item
from runtime.dynamodb.expressions import Condition, Key, above, at_least, below, between, equals
from runtime.dynamodb.index_merge import in_order_of_place, merge_newest_first
from runtime.dynamodb.store import Store
from runtime.streams.images import text_of

CHAIN_PAGE = 200
REQUEST_ROWS: Final = 4
"""Rows of one entity that a request usually changes, and the one that ends them."""
MAX_REQUEST_ENTITIES: Final = 1_000
"""Entities whose rows one list by request shows. The largest request, which resolves 100 settlement
exceptions at once, changes about 500."""
SHARED_INDEXES = ("user-index", "gsi-merchant")
"""Indexes in which an entry may stand for several rows (audit/listing.py)."""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


_Text = Annotated[str | None, BeforeValidator(_text)]


class AuditEntry(BaseModel, frozen=True, defer_build=True):
    """A row as projected into an index; attributes may have been edited out of band.

    The platform's indexes have the owner, a merchant's index the user, and the index of users and
    a merchant's the action. `is_assumed`: the entry of another row stands for it; its action may
    not be known.
    """

    timestamp: str
    entity_id: str
    sequence: str
    merchant_id: _Text = None
    action: _Text = None
    user_id: _Text = None
    is_assumed: bool = False

    @property
    def place(self) -> str:
        """Unique position in a list, sorted by time."""
        return f"{self.timestamp}|{self.entity_id}|{self.sequence}"

    def together(self) -> "Iterator[AuditEntry]":
        """This entry, and those of the rows that may be listed with it."""
        yield self
        for entity_id, action in may_be_listed_with(self.entity_id, self.action):
            named = {"entity_id": entity_id, "sequence": FIRST, "action": action}
            yield self.model_copy(update={**named, "is_assumed": True})


class AuditRepository:
    """The audit log table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(self, row: AuditRow) -> AuditRow | None:
        """Append a row. Returns the existing row at that key, which is not changed, or None."""
        return self._store.put_new(row)

    def get(self, entity_id: str, sequence: str) -> AuditRow | None:
        """One row, strongly consistent."""
        key = {"entity_id": entity_id, "sequence": sequence}
        return self._store.get(AuditRow, key, AuditRow, UNRESTRICTED)

    def latest(self, entity_id: str, limit: int) -> list[AuditRow]:
        """The last `limit` rows of an entity, newest first, strongly consistent."""
        rows = self._store.query(
            AuditRow,
            AuditRow,
            [equals("entity_id", entity_id)],
            page_size=limit,
            newest_first=True,
            consistent=True,
        )
        return list(islice(rows, limit))

    def since(self, entity_id: str, sequence: str) -> Iterator[AuditRow]:
        """The rows of an entity from `sequence` on, in order, strongly consistent."""
        return self._store.query(
            AuditRow,
            AuditRow,
            [equals("entity_id", entity_id), at_least("sequence", sequence)],
            page_size=CHAIN_PAGE,
            consistent=True,
        )

    def of_request(self, request_id: str) -> list[AuditRow]:
        """The rows of a request, newest first; the index may lag some seconds.

        Unreadable items are skipped, as in `newest_first`. Raises ChainTooLong beyond
        MAX_REQUEST_ENTITIES.
        """
        entries = self._store.query(
            AuditRow,
            AuditEntry,
            [equals("listed_request", request_id)],
            page_size=CHAIN_PAGE,
            index="gsi-request",
            newest_first=True,
        )
        first = list(islice(entries, MAX_REQUEST_ENTITIES + 1))
        if len(first) > MAX_REQUEST_ENTITIES:
            raise ChainTooLong(
                f"{request_id} has changed more than {MAX_REQUEST_ENTITIES} resources, the most "
                "that one list shows; list them by user_id, with start_date and end_date"
            )
        chains = [list(self._of_request(entry, request_id)) for entry in first]
        listing = [_entry_of(row) for rows in chains for row in rows]
        assumed = [each for entry in listing for each in entry.together() if each.is_assumed]
        found = {
            _key(row): row
            for rows in (*chains, self.get_many(assumed, UNRESTRICTED))
            for row in rows
            if row.request_id == request_id
        }
        return sorted(found.values(), key=lambda row: _entry_of(row).place, reverse=True)

    def _of_request(self, entry: AuditEntry, request_id: str) -> Iterator[AuditRow]:
        """The entry's row, and those that follow it in its chain and are of the same request."""
        items = self._store.query_items(
            AuditRow,
            [equals("entity_id", entry.entity_id), at_least("sequence", entry.sequence)],
            page_size=REQUEST_ROWS,
            consistent=True,
        )
        for row in map(self.read, items):
            if isinstance(row, AuditRow):
                if row.request_id != request_id:
                    return
                yield row

    def chain(self, entity_id: str) -> Iterator[AuditRow | Unreadable]:
        """All rows of an entity, in order, strongly consistent, unreadable items included."""
        items = self._store.query_items(
            AuditRow, [equals("entity_id", entity_id)], page_size=CHAIN_PAGE, consistent=True
        )
        return (self.read(item) for item in items)

    def read(self, item: Item) -> AuditRow | Unreadable:
        """Parse an item of the table."""
        try:
            return self._store.codec.to_row(AuditRow.table_schema, item, AuditRow)
        except ValidationError:
            return Unreadable(text_of(item, "entity_id"), text_of(item, "sequence"))

    def newest_first(
        self, entity_id: str, *, before: str | None, page_size: int
    ) -> Iterator[AuditRow]:
        """The rows of an entity before `before`, newest first, strongly consistent.

        Unreadable items are skipped; verification reports them.
        """
        earlier = () if before is None else (below("sequence", before),)
        return self._rows_of(entity_id, earlier, page_size, newest_first=True)

    def oldest_first(
        self, entity_id: str, *, after: str | None, page_size: int
    ) -> Iterator[AuditRow]:
        """The rows of an entity after `after`, oldest first; otherwise as `newest_first`."""
        later = () if after is None else (above("sequence", after),)
        return self._rows_of(entity_id, later, page_size, newest_first=False)

    def _rows_of(
        self,
        entity_id: str,
        part: tuple[Condition, ...],
        page_size: int,
        *,
        newest_first: bool,
    ) -> Iterator[AuditRow]:
        items = self._store.query_items(
            AuditRow,
            [equals("entity_id", entity_id), *part],
            page_size=page_size,
            newest_first=newest_first,
            consistent=True,
        )
        rows = (self.read(item) for item in items)
        return (row for row in rows if isinstance(row, AuditRow))

    def merged(
        self,
        index: str,
        buckets: Sequence[str],
        times: tuple[Timestamp, Timestamp],
        *,
        before: str | None,
        page_size: int,
    ) -> Iterator[AuditEntry]:
        """Index entries between two times and before a place, merged over buckets, newest first.

        The index may lag some seconds. Where a row may be listed with another, its entry is
        assumed; `get_many` drops it if that is not so.
        """
        start, end = times
        if before is not None:
            end = min(end, before.partition("|")[0])
        if start > end:
            return iter(())
        key = AuditRow.table_schema.index(index).partition_key.name
        readers = [
            in_order_of_place(
                _with_assumed(
                    self._store.query(
                        AuditRow,
                        AuditEntry,
                        [equals(key, bucket), between("timestamp", start, end)],
                        page_size=page_size,
                        index=index,
                        newest_first=True,
                    ),
                    index,
                ),
                time=lambda entry: entry.timestamp,
                place=lambda entry: entry.place,
            )
            for bucket in buckets
        ]
        entries = merge_newest_first(
            readers, self._store.outside.threads, key=lambda entry: entry.place
        )
        # A row may have an entry of its own as well: of an earlier form, or rebuilt.
        once = (
            min(same, key=lambda entry: entry.is_assumed)
            for _, same in groupby(entries, key=lambda entry: entry.place)
        )
        return (entry for entry in once if before is None or entry.place < before)

    def get_many(self, entries: Sequence[AuditEntry], scope: Scope) -> list[AuditRow]:
        """The rows behind entries, if they exist in `scope`, strongly consistent, in order.

        Unreadable items are skipped, as in `newest_first`.
        """
        if not entries:
            return []
        keys = [{"entity_id": each.entity_id, "sequence": each.sequence} for each in entries]
        try:
            rows = self._store.get_many(AuditRow, keys, AuditRow, scope)
        except ValidationError:
            rows = [row for key in keys for row in self._readable(key, scope)]
        assumed = {_key(each): each.timestamp for each in entries if each.is_assumed}
        return [row for row in rows if _is_listed_at(row, assumed.get(_key(row)))]

    def _readable(self, key: Key, scope: Scope) -> list[AuditRow]:
        try:
            return self._store.get_many(AuditRow, [key], AuditRow, scope)
        except ValidationError:
            return []


def _with_assumed(entries: Iterator[AuditEntry], index: str) -> Iterator[AuditEntry]:
    if index not in SHARED_INDEXES:
        return entries
    return (each for entry in entries for each in entry.together())


def _entry_of(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        timestamp=row.timestamp,
        entity_id=row.entity_id,
        sequence=row.sequence,
        action=row.action,
    )


def _key(row: AuditEntry | AuditRow) -> tuple[str, str]:
    return row.entity_id, row.sequence


def _is_listed_at(row: AuditRow, assumed: Timestamp | None) -> bool:
    """Whether the row has an entry, or is listed with a row of the time that was assumed."""
    return assumed is None or (row.user_bucket is None and row.timestamp == assumed)
