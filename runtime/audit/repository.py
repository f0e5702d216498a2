"""The audit log. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ValidationError

from runtime.audit.chain import Unreadable
from runtime.audit.models import AuditRow
from runtime.core.fields import Timestamp
from runtime.core.scope import EVERYBODY, Scope
from runtime.dynamodb.codec import Item
from runtime.dynamodb.expressions import Key, at_least, below, between, equals
from runtime.dynamodb.index_merge import in_order_of_place, merge_newest_first
from runtime.dynamodb.store import Store
from runtime.streams.images import text_of

CHAIN_PAGE = 200


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


_Text = Annotated[str | None, BeforeValidator(_text)]


class AuditEntry(BaseModel, frozen=True):
    """A row as an index shows it, however it was edited.

    The platform's indexes say whose it is, a merchant's what was done and by whom.
    """

    timestamp: str
    entity_id: str
    sequence: str
    merchant_id: _Text = None
    action: _Text = None
    user_id: _Text = None

    @property
    def place(self) -> str:
        """Its place in a list: time first, and no two have the same."""
        return f"{self.timestamp}|{self.entity_id}|{self.sequence}"


class AuditRepository:
    """The audit table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(self, row: AuditRow) -> AuditRow | None:
        """Put a row; the one that is there already under its key, which is left alone, or None."""
        return self._store.put_new(row)

    def get(self, entity_id: str, sequence: str) -> AuditRow | None:
        """One row, strongly consistent."""
        key = {"entity_id": entity_id, "sequence": sequence}
        return self._store.get(AuditRow, key, AuditRow, EVERYBODY)

    def latest(self, entity_id: str, limit: int) -> list[AuditRow]:
        """The last rows of an entity, the last first, strongly consistent."""
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

    def chain(self, entity_id: str) -> Iterator[AuditRow | Unreadable]:
        """All rows of an entity, in order, strongly consistent, what is none any more included."""
        items = self._store.query_items(
            AuditRow, [equals("entity_id", entity_id)], page_size=CHAIN_PAGE, consistent=True
        )
        return (self.read(item) for item in items)

    def read(self, item: Item) -> AuditRow | Unreadable:
        """An item of the table as a row, if it is one."""
        try:
            return self._store.codec.to_row(AuditRow.table_schema, item, AuditRow)
        except ValidationError:
            return Unreadable(text_of(item, "sequence"))

    def newest_first(
        self, entity_id: str, *, before: str | None, page_size: int
    ) -> Iterator[AuditRow]:
        """The rows of an entity before a `sequence`, the last first, strongly consistent.

        What is no audit row any more is not among them: to tell of that is for who verifies.
        """
        earlier = () if before is None else (below("sequence", before),)
        items = self._store.query_items(
            AuditRow,
            [equals("entity_id", entity_id), *earlier],
            page_size=page_size,
            newest_first=True,
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
        """Entries of an index between two times, before a place, merged over buckets, newest first.

        The index may lag some seconds.
        """
        start, end = times
        if before is not None:
            end = min(end, before.partition("|")[0])
        if start > end:
            return iter(())
        key = AuditRow.table_schema.index(index).partition_key.name
        readers = [
            in_order_of_place(
                self._store.query(
                    AuditRow,
                    AuditEntry,
                    [equals(key, bucket), between("timestamp", start, end)],
                    page_size=page_size,
                    index=index,
                    newest_first=True,
                ),
                time=lambda entry: entry.timestamp,
                place=lambda entry: entry.place,
            )
            for bucket in buckets
        ]
        entries = merge_newest_first(
            readers, self._store.outside.threads, key=lambda entry: entry.place
        )
        return (entry for entry in entries if before is None or entry.place < before)

    def get_many(self, entries: Sequence[AuditEntry], scope: Scope) -> list[AuditRow]:
        """The rows behind entries that exist in `scope`, strongly consistent, in their order.

        What is no audit row any more is not among them, as in `newest_first`.
        """
        if not entries:
            return []
        keys = [{"entity_id": each.entity_id, "sequence": each.sequence} for each in entries]
        try:
            return self._store.get_many(AuditRow, keys, AuditRow, scope)
        except ValidationError:
            return [row for key in keys for row in self._readable(key, scope)]

    def _readable(self, key: Key, scope: Scope) -> list[AuditRow]:
        try:
            return self._store.get_many(AuditRow, [key], AuditRow, scope)
        except ValidationError:
            return []
