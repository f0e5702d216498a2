"""The audit log. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from runtime.models.audit import AuditRow
from runtime.models.scope import EVERYBODY
from runtime.repositories.expressions import at_least, equals
from runtime.repositories.store import Store

CHAIN_PAGE = 200


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
