"""Exported settlement lines: the newest settlement first, its lines in the order of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from runtime.core.scope import Scope
from runtime.dynamodb.expressions import Key
from runtime.http.caller import require_found
from runtime.reconciliation.settlements.api import SettlementLineAnswer
from runtime.reconciliation.settlements.models import Settlement
from runtime.reconciliation.settlements.queries import days_of, matches
from runtime.reconciliation.settlements.repository import DayRange
from runtime.reporting.exports.api import LineFilters
from runtime.reporting.exports.sources.chunks import Chunk, RowWriter, selections
from runtime.reporting.exports.sources.reads import INDEX_PAGE, ExportReads, Whose

LINES_PAGE: Final = 200


class LineSource:
    """Of one settlement, or of all. A position is a settlement's place and one of its lines."""

    def __init__(
        self, query: LineFilters, whose: Whose, reads: ExportReads, writer: RowWriter
    ) -> None:
        self._query, self._whose, self._reads, self._writer = query, whose, reads, writer
        self.header = writer.header

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """As Source."""
        query, reads = self._query, self._reads.settlements
        owner, days = Scope(self._whose.owner), self._days()
        place: list[Any] | None = json.loads(position) if position else None
        if query.settlement_id is not None:
            named = reads.get(query.settlement_id, owner)
            settlement = require_found(named, "settlement", query.settlement_id)
            if days.first <= settlement.date <= days.last:
                yield from self._of_settlement(settlement, place[2] if place else 0)
            return
        if days.first > days.last:  # DynamoDB refuses a range without a day
            return
        if place is not None:
            begun = reads.get(place[1], owner)
            yield from self._of_settlement(begun, place[2]) if begun is not None else ()
        for entry in reads.newest_first(
            self._whose.owner,
            days,
            start_after=self._key(place[0], place[1]) if place else None,
            page_size=INDEX_PAGE,
        ):
            listed = reads.get(entry.id, owner)
            if listed is not None:
                yield from self._of_settlement(listed, 0)

    def _days(self) -> DayRange:
        """Days of the settlements whose lines are exported."""
        days = days_of(self._query.start_date, self._query.end_date, self._whose.moment)
        if self._query.min_age_days is None:
            return days
        oldest = (self._whose.moment - timedelta(days=self._query.min_age_days)).date()
        return DayRange(days.first, min(days.last, oldest.isoformat()))

    def _key(self, date: str, settlement_id: str) -> Key:
        return {"merchant_id": self._whose.owner, "date": date, "id": settlement_id}

    def _of_settlement(self, settlement: Settlement, after: int) -> Iterator[Chunk]:
        until, query = self._whose.until, self._query
        lines = self._reads.settlements.lines_after(settlement, after, LINES_PAGE)
        for each in selections(
            lines,
            position=lambda line: str(line.line),
            matches=lambda line: (
                line.created_at <= until
                and matches(line, query)
                and (query.min_age_days is None or line.exception_key is not None)
            ),
        ):
            rows = [SettlementLineAnswer.of(line) for line in each.entries]
            place = [settlement.date, settlement.id, int(each.position)]
            yield self._writer.chunk(rows, json.dumps(place))
