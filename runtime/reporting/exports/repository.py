"""Export jobs."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel

from runtime.core.errors import StaleWrite
from runtime.core.scope import Scope
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import absent, below, change, equals, put
from runtime.dynamodb.store import Store
from runtime.idempotency.idempotent_create import create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.reporting.exports.models import Export, ExportStatus


class ExportEntry(BaseModel, frozen=True, defer_build=True):
    """An export in its list indexes; `status` is absent if it is in the index key."""

    id: str
    status: ExportStatus | None = None


class ExportRepository:
    """The exports table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, export: Export, claim: IdempotencyRecord | None, *, token: str, now: datetime
    ) -> None:
        """Store a new job. Raises AlreadyClaimed."""
        write = put(export).when(absent("id"))
        create_once(self._store, [write], claim, token=token, now=now)

    def get(self, export_id: str, scope: Scope) -> Export | None:
        """A job, strongly consistent."""
        return self._store.get(Export, {"id": export_id}, Export, scope)

    def get_many(self, export_ids: Sequence[str], scope: Scope) -> list[Export]:
        """The jobs that exist, in the given order."""
        if not export_ids:
            return []
        return self._store.get_many(Export, [{"id": each} for each in export_ids], Export, scope)

    def advance(self, before: Export, after: Export, *, token: str) -> None:
        """One step of a job. Raises StaleWrite if another worker has made one meanwhile."""
        step = change(before, after).when(equals("version", before.version))
        try:
            self._store.transact([step], token=token)
        except TransactionRefused as refused:
            raise StaleWrite("exports", f"{before.id} was taken further") from refused

    def newest_first(
        self, index: str, key: str, *, after_id: str | None, page_size: int
    ) -> Iterator[ExportEntry]:
        """Jobs under one key of an index, newest first, older than `after_id`."""
        older = () if after_id is None else (below("id", after_id),)
        key_name = Export.table_schema.index(index).partition_key.name
        return self._store.query(
            Export,
            ExportEntry,
            [equals(key_name, key), *older],
            index=index,
            newest_first=True,
            page_size=page_size,
        )
