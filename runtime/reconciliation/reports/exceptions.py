"""Exceptions in the report of a settlement: open and resolved ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.reconciliation.exceptions.guidance import GUIDANCE
from runtime.reconciliation.reports.markup import Markup, element, joined
from runtime.reconciliation.reports.tables import NOTHING, figure, shown_amount, table
from runtime.reconciliation.settlements.models import SettlementLine


def open_section(lines: Sequence[SettlementLine], count: int) -> list[Markup]:
    """The open exceptions with their reasons; `count` is their total number."""
    parts = [element("h2", f"Open exceptions ({count})")]
    if not lines:
        nothing = element("p", "None.", class_="quiet")
        return [*parts, _not_all(0) if count else nothing]
    columns = ("Line", "What", "Status and reason", "Gross", "Fee", "Net", "We have", "References")
    parts.append(table(columns, [_open_row(each) for each in lines], numbers=(3, 4, 5)))
    if len(lines) < count:
        parts.append(_not_all(len(lines)))
    advice = [
        part
        for status in sorted({line.status for line in lines})
        for part in (
            element("dt", GUIDANCE[status].title),
            element("dd", GUIDANCE[status].to_do or NOTHING),
        )
    ]
    return [*parts, element("h3", "What to do"), element("dl", joined(advice))]


def _open_row(line: SettlementLine) -> Markup:
    status = element("strong", GUIDANCE[line.status].title)
    reason = f": {line.reason}" if line.reason else ""
    figures = (line.amount, line.fee, line.net)
    return element(
        "tr",
        element("td", _number_of(line)),
        element("td", _kind(line)),
        element("td", status, reason, class_="why"),
        *(element("td", figure(each, line.currency), class_="number") for each in figures),
        element("td", _expected(line)),
        element("td", _references(line), class_="code"),
    )


def resolved_section(lines: Sequence[SettlementLine], count: int) -> list[Markup]:
    """How exceptions were resolved, by whom, when and why; `count` is their total number."""
    if not count:
        return []
    heading = element("h2", f"Resolved exceptions ({count})")
    if not lines:
        return [heading, _not_all(0)]
    rows = []
    for line in lines:
        resolution = line.resolution
        assert resolution is not None, "only resolved lines are given"
        rows.append(
            element(
                "tr",
                element("td", _number_of(line)),
                element("td", _kind(line)),
                element("td", GUIDANCE[line.status].title),
                element("td", figure(line.net, line.currency), class_="number"),
                element("td", resolution.action.replace("_", " ")),
                element("td", resolution.note),
                element("td", f"{resolution.by}, {resolution.at}"),
            )
        )
    columns = ("Line", "What", "Status", "Net", "Resolved by", "Note", "Who and when")
    rest = [_not_all(len(lines))] if len(lines) < count else []
    return [heading, table(columns, rows, numbers=(3,)), *rest]


def _not_all(shown: int) -> Markup:
    return element(
        "p",
        f"Shown here: {shown}. All of them: GET /v1/settlements/{{id}}/lines, or an "
        "export of the kind settlement_lines.",
        class_="quiet",
    )


def _number_of(line: SettlementLine) -> str:
    return str(line.line if line.file_line is None else line.file_line)


def _kind(line: SettlementLine) -> str:
    kind = NOTHING if line.type is None else line.type.replace("_", " ")
    if line.category is None or line.category == line.type:
        return kind
    return f"{kind} ({line.category})"


def _expected(line: SettlementLine) -> str:
    ours = line.expected
    if ours is None:
        return NOTHING
    fee = f", fee {figure(ours.fee, ours.currency)}" if ours.fee else ""
    status = f", {ours.status}" if ours.status else ""
    return f"{shown_amount(ours.amount, ours.currency)}{fee}{status}"


def _references(line: SettlementLine) -> str:
    ids = (line.payment_id, line.transaction_id, line.dispute_id, *line.processor_ids)
    return " ".join(each for each in ids if each) or NOTHING
