"""The report of a settlement: a printable page and its lines as CSV, by signed links."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Final

from runtime.core.delimited_text import csv_lines
from runtime.core.scope import Scope
from runtime.core.signed_links import LINK_SECONDS, SignedLinks
from runtime.core.timestamps import to_timestamp
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.merchants.profiles import MerchantProfiles
from runtime.reconciliation.exceptions.rules import is_open
from runtime.reconciliation.files.repository import SettlementFileRepository
from runtime.reconciliation.reports.bucket import CSV, HTML, ReportFiles
from runtime.reconciliation.reports.lines import COLUMNS, line_cells
from runtime.reconciliation.reports.page import Report, report_page
from runtime.reconciliation.settlements.api import SettlementReportAnswer
from runtime.reconciliation.settlements.line_keys import (
    EXCEPTION_STATUSES,
    exception_buckets,
    exception_range,
)
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reconciliation.settlements.models import REPORTS_PREFIX, Settlement, SettlementLine
from runtime.reconciliation.settlements.repository import SettlementRepository

MAX_REPORT_LINES: Final = 10_000
"""Lines of a settlement whose report has them as CSV: what one request can read. For more there is
the export of settlement lines."""
MAX_SHOWN_LINES: Final = 250
"""Open exceptions, and resolved ones, on the page."""
MAX_SHOWN_FILES: Final = 50
"""Files listed on the page, the last ones."""
LINES_PAGE: Final = 1_000
"""Lines of one read call; DynamoDB ends it at 1 MB."""
ROWS_AT_ONCE: Final = 100
"""Rows of one read by their keys: DynamoDB's limit."""


@dataclass(frozen=True)
class ReportDependencies:
    """Dependencies for making reports."""

    settlements: SettlementRepository
    lines: SettlementLineRepository
    files: SettlementFileRepository
    merchants: MerchantProfiles
    reports: ReportFiles
    links: SignedLinks


@dataclass
class _Chosen:
    """Lines for the page, the first ones of each kind."""

    open: list[SettlementLine] = field(default_factory=list)
    resolved: list[SettlementLine] = field(default_factory=list)

    def take(self, line: SettlementLine) -> None:
        if line.resolution is not None:
            chosen = self.resolved
        elif is_open(line):
            chosen = self.open
        else:
            return
        if len(chosen) < MAX_SHOWN_LINES:
            chosen.append(line)


def make_report(
    settlement_id: str, call: Call, dependencies: ReportDependencies
) -> SettlementReportAnswer:
    """Write the report of the settlement's current state, and answer with links to it.

    `csv_url` is None for a settlement of more than MAX_REPORT_LINES lines, whose page shows open
    exceptions, and no resolved ones. Raises NotFound.
    """
    settlement = require_found(
        dependencies.settlements.get(settlement_id, call.scope), "settlement", settlement_id
    )
    links, chosen = dependencies.links, _Chosen()
    base = f"{settlement.merchant_id}/{settlement.id}/v{settlement.version}"
    name = f"settlement-{settlement.date}-{settlement.payout_reference or settlement.id}"
    csv_url = None
    if sum(settlement.counts.values()) <= MAX_REPORT_LINES:
        lines = dependencies.settlements.lines_after(settlement, 0, LINES_PAGE)
        rows = _cells(islice(lines, MAX_REPORT_LINES), chosen)
        dependencies.reports.put(f"{base}.csv", csv_lines(rows), CSV)
        csv_url = links.download(f"{REPORTS_PREFIX}{base}.csv", f"{name}.csv")
    else:
        chosen.open += _listed(settlement, dependencies)
    page = report_page(_report(settlement, chosen, call, dependencies))
    dependencies.reports.put(f"{base}.html", page.encode(), HTML)
    return SettlementReportAnswer(
        url=links.download(f"{REPORTS_PREFIX}{base}.html", f"{name}.html", inline=True),
        csv_url=csv_url,
        expires_at=to_timestamp(call.now + timedelta(seconds=LINK_SECONDS)),
    )


def _listed(settlement: Settlement, dependencies: ReportDependencies) -> list[SettlementLine]:
    """The first open exceptions of a settlement with too many lines to read all of them."""
    merchant = dependencies.merchants.require(settlement.merchant_id)
    of = (settlement.date, settlement.id)
    entries = dependencies.lines.exceptions(
        exception_buckets(merchant.id, merchant.index_buckets),
        [
            (status, exception_range(status, settlement=of))
            for status in EXCEPTION_STATUSES
            if settlement.counts.get(status)
        ],
        after=None,
        page_size=ROWS_AT_ONCE,
    )
    first = list(islice(entries, MAX_SHOWN_LINES))
    rows: list[SettlementLine] = []
    for start in range(0, len(first), ROWS_AT_ONCE):
        some = first[start : start + ROWS_AT_ONCE]
        rows += dependencies.lines.get_many(some, Scope(merchant.id))
    return sorted(filter(is_open, rows), key=lambda row: row.line)


def _cells(
    lines: Iterator[SettlementLine], chosen: _Chosen
) -> Iterator[list[str] | list[str | int | None]]:
    yield list(COLUMNS)
    for line in lines:
        chosen.take(line)
        yield line_cells(line)


def _report(
    settlement: Settlement, chosen: _Chosen, call: Call, dependencies: ReportDependencies
) -> Report:
    own = Scope(settlement.merchant_id)
    return Report(
        settlement=settlement,
        merchant_name=dependencies.merchants.require(settlement.merchant_id).name,
        files=dependencies.files.get_many(settlement.file_ids[-MAX_SHOWN_FILES:], own),
        open_lines=chosen.open,
        resolved_lines=chosen.resolved,
        made_at=to_timestamp(call.now),
        made_for=call.caller.subject,
    )
