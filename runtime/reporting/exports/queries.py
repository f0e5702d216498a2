"""Reading exports: one, and a page of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from runtime.core.scope import Scope
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call
from runtime.reporting.exports.api import ExportAnswer, ExportList, ExportQuery
from runtime.reporting.exports.jobs import open_status
from runtime.reporting.exports.models import Export, ExportStatus
from runtime.reporting.exports.repository import ExportRepository


@dataclass(frozen=True)
class ExportQueries:
    """Dependencies of reading exports. `link` signs the URL of a completed one's file."""

    exports: ExportRepository
    cursors: Cursors
    link: Callable[[Export], str]


def export_answer(export: Export, link: Callable[[Export], str] | None = None) -> ExportAnswer:
    """The public shape of an export, with a new signed link if it is completed."""
    is_there = export.status is ExportStatus.COMPLETED and link is not None
    return ExportAnswer.model_validate(
        {
            **export.model_dump(),
            "expires_at": to_timestamp(datetime.fromtimestamp(export.expires_at, UTC)),
            "result_url": link(export) if is_there and link is not None else None,
        }
    )


def get_export(export_id: str, call: Call, queries: ExportQueries) -> ExportAnswer:
    """An export, strongly consistent. Raises NotFound."""
    export = require_found(queries.exports.get(export_id, call.scope), "export", export_id)
    return export_answer(
        require_found(None if _is_over(export, call) else export, "export", export_id), queries.link
    )


def list_exports(query: ExportQuery, call: Call, queries: ExportQueries) -> ExportList:
    """A page of the owner's exports, newest first. Raises BadCursor."""
    owner = call.caller.owner(call.acting_for)
    cursor = queries.cursors.of(query, "exports", owner)
    index, key = "gsi-merchant", owner
    if query.status in (ExportStatus.QUEUED, ExportStatus.RUNNING):
        index, key = "gsi-status", open_status(owner, query.status)
    page = take_page(
        queries.exports.newest_first(
            index,
            key,
            after_id=cursor.position,
            page_size=query.limit + 1,
        ),
        limit=query.limit,
        position=lambda entry: entry.id,
        matches=lambda entry: query.status is None or entry.status in (None, query.status),
    )
    rows = queries.exports.get_many([entry.id for entry in page.entries], Scope(owner))
    shown = (row for row in rows if query.status in (None, row.status) and not _is_over(row, call))
    answers = (export_answer(row, queries.link) for row in shown)
    return ExportList.from_items(answers, cursor.after(page.next_position))


def _is_over(export: Export, call: Call) -> bool:
    """Whether it has expired: the table deletes it later."""
    return export.expires_at <= to_epoch_seconds(call.now)
