"""The report of a settlement as one printable page: no script, and nothing from another host. Pure.

Every value passes through `runtime.reconciliation.reports.markup`, which escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runtime.core.fields import Timestamp
from runtime.reconciliation.files.models import SettlementFile
from runtime.reconciliation.reports.exceptions import open_section, resolved_section
from runtime.reconciliation.reports.markup import Markup, element, joined
from runtime.reconciliation.reports.style import STYLE
from runtime.reconciliation.reports.sums import capture_section, payout_section, status_section
from runtime.reconciliation.reports.tables import NOTHING, shown_amount, table
from runtime.reconciliation.settlements.models import (
    NO_EXCEPTION,
    Settlement,
    SettlementLine,
    SettlementStatus,
)

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing injected into the page could load or run anything (W3C Content Security Policy)."""


@dataclass(frozen=True, slots=True)
class Report:
    """The content of the page. `open_lines` and `resolved_lines` may be incomplete."""

    settlement: Settlement
    merchant_name: str
    files: Sequence[SettlementFile]
    open_lines: Sequence[SettlementLine]
    resolved_lines: Sequence[SettlementLine]
    made_at: Timestamp
    made_for: str


def report_page(report: Report) -> str:
    """The whole page."""
    settlement = report.settlement
    title = f"Settlement {name_of(settlement)}"
    body = element(
        "body",
        element("h1", title),
        element("p", f"{report.merchant_name}, {settlement.date}", class_="quiet"),
        _verdict(settlement),
        _facts(report),
        *payout_section(settlement),
        *status_section(settlement),
        *capture_section(settlement),
        *open_section(report.open_lines, settlement.open_exceptions),
        *resolved_section(report.resolved_lines, _resolved_count(settlement)),
        *_files(report.files),
        _footer(report),
    )
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Markup('<meta name="referrer" content="no-referrer">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{title}, {settlement.date}"),
        element("style", Markup(STYLE)),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def name_of(settlement: Settlement) -> str:
    """The common name of a settlement: the processor's id of the payout, or the file's name."""
    return settlement.payout_reference or settlement.source.rpartition("/")[2]


def verdict_of(settlement: Settlement) -> str:
    """In a sentence or two: is the payout explained, and is there anything to do?"""
    if settlement.status is SettlementStatus.PROCESSING:
        return "This settlement is still being processed; the figures will change."
    if settlement.status is SettlementStatus.REJECTED:
        return f"Rejected: {settlement.rejection_reason}"
    unexplained = [
        shown_amount(amount, currency)
        for currency, amount in settlement.remainder.items()
        if amount
    ]
    count = settlement.open_exceptions
    lines = "1 line needs" if count == 1 else f"{count} lines need"
    to_do = f"{lines} a decision." if count else "Nothing is left to do."
    if unexplained:
        return f"{' and '.join(unexplained)} of the payout is not explained by its lines. {to_do}"
    if settlement.payout:
        return f"The payout is explained to the last unit by its lines. {to_do}"
    return f"The files name no payout, so a remainder cannot be computed. {to_do}"


def _verdict(settlement: Settlement) -> Markup:
    done = settlement.status is SettlementStatus.COMPLETED and not any(
        settlement.remainder.values()
    )
    tone = "good" if done else "open"
    return element("p", verdict_of(settlement), class_=f"verdict {tone}")


def _facts(report: Report) -> Markup:
    settlement = report.settlement
    facts = {
        "Settlement": settlement.id,
        "Status": settlement.status.replace("_", " "),
        "Layout": settlement.format,
        "Payout of the processor": settlement.payout_reference or NOTHING,
        "Lines": f"{sum(settlement.counts.values()):,}",
        "Open exceptions": str(settlement.open_exceptions),
        "Completed": settlement.completed_at or NOTHING,
    }
    parts = [
        part
        for name, value in facts.items()
        for part in (element("dt", name), element("dd", value))
    ]
    return element("dl", joined(parts))


def _resolved_count(settlement: Settlement) -> int:
    exceptions = sum(
        count for status, count in settlement.counts.items() if status not in NO_EXCEPTION
    )
    return exceptions - settlement.open_exceptions


def _files(files: Sequence[SettlementFile]) -> list[Markup]:
    if not files:
        return []
    rows = [
        element(
            "tr",
            element("td", file.name),
            element("td", file.id, class_="code"),
            element("td", file.lines, class_="number"),
            element("td", file.created_at),
            element("td", file.sha256 or NOTHING, class_="code"),
        )
        for file in files
    ]
    columns = ("Name", "Id", "Lines", "Received", "SHA-256")
    return [element("h2", "Made from these files"), table(columns, rows, numbers=(2,))]


def _footer(report: Report) -> Markup:
    return element(
        "footer",
        element(
            "p",
            f"Made at {report.made_at} for {report.made_for}, from version "
            f"{report.settlement.version} of the settlement.",
        ),
        element(
            "p",
            "Signed amounts as the merchant sees them: what comes in is positive, what goes out "
            "is negative, and a positive fee is a cost. Gross - fee = net. The sum of all lines "
            "counts every line, whatever its status; the remainder is the payout less that sum.",
        ),
    )
