"""The audited tables and the audit log, read completely and in stored form, for verification."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.dynamodb.codec import Item
from runtime.dynamodb.schema import Row, TableSchema
from runtime.dynamodb.store import Store
from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.ledger.accounts.repository import is_number_guard

SCAN_PAGE = 1_000
"""Items of one page of a scan; DynamoDB cuts it at 1 MB."""


class AuditedTables:
    """Reads of whole tables, strongly consistent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def items(self, model: type[Row], segment: int, total_segments: int) -> Iterator[list[Item]]:
        """One segment of a table, page by page, without guards of account numbers."""
        pages = self._store.scan_items(
            model, segment=segment, total_segments=total_segments, page_size=SCAN_PAGE
        )
        for page in pages:
            yield [item for item in page if not is_number_guard(item)]

    def item(self, model: type[Row], entity_id: str) -> Item | None:
        """The audited item as an entity, if the entity belongs to this table."""
        _, _, shard = entity_id.partition("#")
        key: dict[str, str | int] = {"id": entity_id}
        if len(TableSchema.of(model).key_names) > 1:
            key["shard"] = shard or PROFILE_SHARD
        elif shard:
            return None
        return self._store.get_item(model, key)
