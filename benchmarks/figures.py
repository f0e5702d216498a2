"""Tables of figures: printed on a console, and kept in a guide between two marks."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Column, Table

from local.errors import LocalError


@dataclass(frozen=True)
class Figures:
    """One table. `name` is that of its block in the guide, and `titles[0]` says what a row is."""

    name: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    on: str = ""
    """What it was measured on, besides the machine."""

    def table(self) -> Table:
        """For a console."""
        first, *others = self.titles
        columns = [Column(title, justify="right") for title in others]
        table = Table(Column(first, no_wrap=True), *columns, box=SIMPLE, title=self.on or None)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self, measured: str) -> str:
        """For a guide; `measured` says when and where."""
        lines = [self.titles, ["---"] * len(self.titles), *self.rows]
        table = "\n".join(f"| {' | '.join(each)} |" for each in lines)
        return f"Measured {measured}{', ' if self.on else ''}{self.on}:\n\n{table}"


def measured_today() -> str:
    """The date and the machine."""
    moment = datetime.now(UTC)
    processor = _processor()
    cores, busy = os.cpu_count(), os.getloadavg()[0]
    python = platform.python_version()
    return (
        f"on {moment:%Y-%m-%d}, Python {python}, {processor}, {cores} cores "
        f"(load at the end: {busy:.1f})"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def update_guides(folder: Path, figures: Iterable[Figures], measured: str) -> None:
    """Replace the tables in the guides of a folder.

    Raises:
        LocalError: none of the guides has a block for one of the tables.
    """
    for each in figures:
        guides = [file for file in sorted(folder.glob("*.md")) if begin(each) in file.read_text()]
        if not guides:
            raise LocalError(
                f"No guide in {folder} has a block for the figures {each.name}.",
                hint=f"Add the lines {begin(each).strip()} and {end(each)} where they belong.",
            )
        for file in guides:
            file.write_text(updated(file.read_text(), each, measured))


def updated(guide: str, figures: Figures, measured: str) -> str:
    """A guide with this table in its block. Raises LocalError for a block without an end."""
    before, _, rest = guide.partition(begin(figures))
    _, closed, after = rest.partition(end(figures))
    if not closed:
        raise LocalError(
            f"The block of the figures {figures.name} has no end.", hint=f"Add {end(figures)}."
        )
    table = figures.markdown(measured)
    return f"{before}{begin(figures)}{table}\n{end(figures)}{after}"


def begin(figures: Figures) -> str:
    """The line before the table in a guide."""
    return f"<!-- make bench: {figures.name} -->\n"


def end(figures: Figures) -> str:
    """The line after it."""
    return f"<!-- end of {figures.name} -->"
