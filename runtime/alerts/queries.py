"""Reads alerts."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.alerts.api import AlertAnswer, AlertList, AlertQuery
from runtime.alerts.repository import AlertRepository
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call


@dataclass(frozen=True)
class AlertReads:
    """Dependencies of the alert reads."""

    alerts: AlertRepository
    cursors: Cursors


def list_alerts(query: AlertQuery, call: Call, reads: AlertReads) -> AlertList:
    """A page of a merchant's alerts, newest first; of all alerts for an operator.

    Raises BadCursor.
    """
    owner = call.scope.owner
    whose = ("alerts", "of", owner) if owner is not None else ("alerts",)
    cursor = reads.cursors.of(query, *whose)
    entries = reads.alerts.newest_first(owner, before=cursor.position, page_size=query.limit + 1)
    page = take_page(entries, limit=query.limit, position=lambda entry: entry.listed_at)
    rows = reads.alerts.get_many([entry.id for entry in page.entries], call.scope)
    return AlertList.from_items(map(AlertAnswer.of, rows), cursor.after(page.next_position))
