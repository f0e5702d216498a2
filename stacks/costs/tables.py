"""Tables of text: for a console, and for a guide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextTable:
    """A table. `name` is that of its block in the guide; the first column says what a row is."""

    name: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """In columns: the first one to the left, numbers to the right."""
        lines = [self.titles, *self.rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.titles))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """For a guide."""
        lines = [self.titles, ["---", *("---:" for _ in self.titles[1:])], *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def dollars(amount: float) -> str:
    """Dollars and cents; whole dollars from a thousand on."""
    if abs(amount) >= 1_000:
        return f"{amount:,.0f}"
    return f"{amount + 0.0:,.2f}" if round(amount, 2) else "0"


def small(amount: float) -> str:
    """Dollars of little: three digits that mean something."""
    return f"{amount:,.3g}"


def quantity(amount: float) -> str:
    """A number with about three digits that mean something."""
    if amount >= 100:
        return f"{amount:,.0f}"
    return small(amount)


def replaced(guide: str, table: TextTable) -> str:
    """A guide with this table in its block. Raises ValueError for a guide without the block."""
    begin, end = f"<!-- make cost: {table.name} -->\n", f"<!-- end of {table.name} -->"
    before, opened, rest = guide.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(
            f"The guide has no block for {table.name}: add the lines {begin.strip()} and {end}"
        )
    return f"{before}{begin}{table.markdown()}\n{end}{after}"
