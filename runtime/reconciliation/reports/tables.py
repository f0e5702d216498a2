"""Tables and figures of the report. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.core.money import decimal_text, grouped
from runtime.reconciliation.reports.markup import Markup, element

NOTHING: Final = "-"


def table(
    columns: Sequence[str],
    rows: Sequence[Markup],
    *,
    numbers: Sequence[int],
    class_: str | None = None,
) -> Markup:
    """A table; the columns at the positions `numbers` are right-aligned."""
    cells = [
        element("th", name, scope="col", class_="number" if index in numbers else None)
        for index, name in enumerate(columns)
    ]
    head = element("thead", element("tr", *cells))
    return element("table", head, element("tbody", *rows), class_=class_)


def figure(amount: int | None, currency: str | None) -> str:
    """An amount without its currency, in groups of three digits."""
    if amount is None or currency is None:
        return NOTHING
    return grouped(decimal_text(amount, currency))


def shown_amount(amount: int, currency: str) -> str:
    """An amount with its currency."""
    return f"{figure(amount, currency)} {currency}"
