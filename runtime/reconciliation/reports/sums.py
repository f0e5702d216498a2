"""Sums in the report of a settlement: the payout explained, and lines by status. Pure."""

from __future__ import annotations

from typing import Final

from runtime.reconciliation.exceptions.guidance import GUIDANCE
from runtime.reconciliation.reports.markup import Markup, element
from runtime.reconciliation.reports.tables import figure, table
from runtime.reconciliation.settlements.models import (
    NO_EXCEPTION,
    LineStatus,
    LineType,
    Settlement,
    TypeTotal,
)

MATCHED: Final = "#1a7f37"
OPEN: Final = "#bf5700"
QUIET: Final = "#8c959f"


def payout_section(settlement: Settlement) -> list[Markup]:
    """Per currency: each type's sum, what was paid out, and the remainder."""
    currencies = sorted(
        {c for totals in settlement.by_type.values() for c in totals} | set(settlement.payout)
    )
    parts = [element("h2", "The payout explained")]
    if not currencies:
        return [*parts, element("p", "No line has an amount.", class_="quiet")]
    for currency in currencies:
        parts += [element("h3", currency), _explained(settlement, currency)]
    return parts


def _explained(settlement: Settlement, currency: str) -> Markup:
    """Each type's sum, their total, what was paid out, and the remainder."""
    by_type = {
        name: settlement.by_type[name][currency]
        for name in sorted(settlement.by_type, key=_order)
        if currency in settlement.by_type[name] and name != LineType.PAYOUT
    }
    rows = [_type_row(name.replace("_", " "), total, currency) for name, total in by_type.items()]
    total = TypeTotal(
        count=sum(each.count for each in by_type.values()),
        amount=sum(each.amount for each in by_type.values()),
        fee=sum(each.fee for each in by_type.values()),
        net=sum(each.net for each in by_type.values()),
    )
    rows.append(_type_row("Sum of all lines", total, currency, class_="sum"))
    paid = settlement.payout.get(currency)
    if paid is None:
        rows.append(_net_row("Paid out", "no payout line in this currency", class_=None))
    else:
        rows.append(_net_row("Paid out", figure(paid, currency), class_=None))
        remainder = settlement.remainder.get(currency, paid - total.net)
        rows.append(
            _net_row(
                "Remainder (paid out less sum of all lines)",
                figure(remainder, currency),
                class_="result off" if remainder else "result",
            )
        )
    return table(("Type", "Lines", "Gross", "Fee", "Net"), rows, numbers=(1, 2, 3, 4))


def _order(name: str) -> tuple[int, str]:
    """Types in the order of LineType, captures first; unclassified lines last."""
    known = [each.value for each in LineType]
    return known.index(name) if name in known else len(known), name


def _type_row(name: str, total: TypeTotal, currency: str, class_: str | None = None) -> Markup:
    figures = (total.amount, total.fee, total.net)
    return element(
        "tr",
        element("td", name),
        element("td", f"{total.count:,}", class_="number"),
        *(element("td", figure(each, currency), class_="number") for each in figures),
        class_=class_,
    )


def _net_row(name: str, figure: str, class_: str | None) -> Markup:
    return element(
        "tr",
        element("td", name, colspan=4),
        element("td", figure, class_="number"),
        class_=class_,
    )


def status_section(settlement: Settlement) -> list[Markup]:
    """How many lines there are of each status, as bars."""
    counts = {status: count for status, count in settlement.counts.items() if count}
    if not counts:
        return []
    most = max(counts.values())
    rows = [
        element(
            "tr",
            element("td", GUIDANCE[status].title),
            element("td", f"{count:,}", class_="number"),
            element("td", _bar(status, count, most)),
        )
        for status, count in sorted(counts.items(), key=lambda each: -each[1])
    ]
    shown = table(("Status", "Lines", ""), rows, numbers=(1,), class_="bars")
    return [element("h2", "Lines by status"), shown]


def _bar(status: LineStatus, count: int, most: int) -> Markup:
    color = QUIET if status in NO_EXCEPTION else OPEN
    if status is LineStatus.MATCHED:
        color = MATCHED
    # At least a thin line: one exception beside a million matched lines must be visible.
    width = max(round(1000 * count / most), 3)
    rectangle = element("rect", width=width, height=10, fill=color)
    return element(
        "svg",
        rectangle,
        viewBox="0 0 1000 10",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{count} lines",
    )


def capture_section(settlement: Settlement) -> list[Markup]:
    """The totals of matched captures."""
    if not settlement.totals:
        return []
    rows = [
        element(
            "tr",
            element("td", currency),
            *(
                element("td", figure(each, currency), class_="number")
                for each in (total.amount, total.fee, total.net)
            ),
        )
        for currency, total in sorted(settlement.totals.items())
    ]
    shown = table(("Currency", "Gross", "Fee", "Net"), rows, numbers=(1, 2, 3))
    return [element("h2", "Matched captures"), shown]
