"""Exported audit rows, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runtime.audit.api import AuditQuery, AuditRowAnswer
from runtime.audit.models import AuditRow
from runtime.audit.queries import is_wanted
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import all_buckets
from runtime.http.caller import require_found
from runtime.payments.queries import window_of
from runtime.reporting.exports.sources.chunks import Chunk, RowWriter, selections
from runtime.reporting.exports.sources.reads import MERGED_PAGE, ExportReads, Whose


class AuditSource:
    """Of one entity, or all of the owner's, narrowed by action and user."""

    def __init__(
        self, query: AuditQuery, whose: Whose, reads: ExportReads, writer: RowWriter
    ) -> None:
        self._query, self._whose, self._reads, self._writer = query, whose, reads, writer
        self.header = writer.header

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """As Source."""
        query, whose = self._query, self._whose
        start, end = window_of(query.start_date, query.end_date, whose.moment)
        times = to_timestamp(start), min(to_timestamp(end), whose.until)
        if query.entity_id is not None:
            yield from self._of_entity(query.entity_id, times, position)
            return
        buckets = all_buckets(whose.owner, self._reads.merchants.index_buckets(whose.owner))
        entries = self._reads.audit.merged(
            "gsi-merchant", buckets, times, before=position, page_size=MERGED_PAGE
        )
        for each in selections(
            entries,
            position=lambda entry: entry.place,
            matches=lambda entry: is_wanted(entry, query),
        ):
            rows = self._reads.audit.get_many(each.entries, whose.scope)
            yield self._chunk([row for row in rows if is_wanted(row, query)], each.position)

    def _of_entity(
        self, entity_id: str, times: tuple[Timestamp, Timestamp], position: str | None
    ) -> Iterator[Chunk]:
        rows = self._reads.audit.newest_first(entity_id, before=position, page_size=MERGED_PAGE)
        scope, (start, end) = self._whose.scope, times
        latest = next(rows, None)
        if latest is None:
            if position is None:
                require_found(None, "entity", entity_id)
            return
        require_found(latest if scope.admits(latest.merchant_id) else None, "entity", entity_id)
        for each in selections(
            _beginning_with(latest, rows),
            position=lambda row: row.sequence,
            matches=lambda row: start <= row.timestamp <= end and scope.admits(row.merchant_id),
        ):
            yield self._chunk(each.entries, each.position)

    def _chunk(self, rows: Sequence[AuditRow], position: str) -> Chunk:
        return self._writer.chunk([AuditRowAnswer.of(row) for row in rows], position)


def _beginning_with(first: AuditRow, rest: Iterator[AuditRow]) -> Iterator[AuditRow]:
    yield first
    yield from rest
