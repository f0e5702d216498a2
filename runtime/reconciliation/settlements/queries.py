"""Reading settlements and their lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runtime.core.scope import Scope
from runtime.core.timestamps import end_of, start_of
from runtime.dynamodb.expressions import Key
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call
from runtime.payments.queries import window_of
from runtime.reconciliation.settlements.api import (
    LineQuery,
    SettlementAnswer,
    SettlementLineAnswer,
    SettlementLineList,
    SettlementList,
    SettlementQuery,
)
from runtime.reconciliation.settlements.models import SettlementLine
from runtime.reconciliation.settlements.repository import (
    DayRange,
    SettlementEntry,
    SettlementRepository,
)

LINES_PAGE: Final = 200
"""Lines of one read call: some 100 KB."""
FILTERED_PAGE: Final = 100
"""Entries of one read call where many of them may not match."""
FIRST_DAY: Final = "0001-01-01"
LAST_DAY: Final = "9999-12-31"
"""A file may contain any day."""


@dataclass(frozen=True)
class SettlementReads:
    """Dependencies of reading settlements."""

    settlements: SettlementRepository
    cursors: Cursors


def get_settlement(settlement_id: str, call: Call, reads: SettlementReads) -> SettlementAnswer:
    """A settlement, strongly consistent. Raises NotFound."""
    settlement = reads.settlements.get(settlement_id, call.scope)
    return SettlementAnswer.of(require_found(settlement, "settlement", settlement_id))


def list_settlements(query: SettlementQuery, call: Call, reads: SettlementReads) -> SettlementList:
    """A page of the merchant's settlements, newest day first. Raises BadCursor, InvalidValue."""
    merchant_id = call.caller.merchant(call.acting_for)
    cursor = reads.cursors.of(query, "settlements", merchant_id)
    position = cursor.position
    entries = reads.settlements.newest_first(
        merchant_id,
        days_of(query.start_date, query.end_date, call.now),
        start_after=_key_of(merchant_id, position) if position else None,
        page_size=query.limit + 1 if query.status is None else FILTERED_PAGE,
    )
    page = take_page(
        entries,
        limit=query.limit,
        position=_position_of,
        matches=lambda entry: query.status in (None, entry.status),
    )
    rows = reads.settlements.get_many([entry.id for entry in page.entries], Scope(merchant_id))
    answers = (SettlementAnswer.of(row) for row in rows if query.status in (None, row.status))
    return SettlementList.from_items(answers, cursor.after(page.next_position))


def list_lines(
    settlement_id: str, query: LineQuery, call: Call, reads: SettlementReads
) -> SettlementLineList:
    """A page of a settlement's lines, in the order of the file. Raises NotFound, BadCursor."""
    settlement = require_found(
        reads.settlements.get(settlement_id, call.scope), "settlement", settlement_id
    )
    cursor = reads.cursors.of(query, "lines", settlement.id)
    page = take_page(
        reads.settlements.lines_after(settlement, int(cursor.position or 0), LINES_PAGE),
        limit=query.limit,
        position=lambda line: str(line.line),
        matches=lambda line: matches(line, query),
    )
    answers = map(SettlementLineAnswer.of, page.entries)
    return SettlementLineList.from_items(answers, cursor.after(page.next_position))


def days_of(start_date: str | None, end_date: str | None, now: datetime) -> DayRange:
    """The requested days, both included. Raises InvalidValue."""
    window_of(start_date, end_date, now)
    first = FIRST_DAY if start_date is None else start_of(start_date).date().isoformat()
    last = LAST_DAY if end_date is None else end_of(end_date).date().isoformat()
    return DayRange(first, last)


def matches(line: SettlementLine, query: LineQuery) -> bool:
    """Whether a line matches the query."""
    return query.status in (None, line.status) and query.type in (None, line.type)


def _position_of(entry: SettlementEntry) -> str:
    return json.dumps([entry.date, entry.id])


def _key_of(merchant_id: str, position: str) -> Key:
    date, settlement_id = json.loads(position)
    return {"merchant_id": merchant_id, "date": date, "id": settlement_id}
