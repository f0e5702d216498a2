"""Progress output of the local stage: each step, and its duration.

Everything goes to standard error, so that standard output has only the requested result.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from local.errors import LocalError

_LONGEST_TITLE: Final = 56
_PLAIN_WIDTH: Final = 100


class Progress:
    """Prints a line per step; on a terminal also a spinner while the step runs.

    `live`: whether lines may be redrawn. Not if a file or a pipe takes the output
    of this command or of its progress, whatever FORCE_COLOR says.
    """

    def __init__(self, console: Console | None = None, *, live: bool | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.live = self._on_terminals() if live is None else live

    def rows(self) -> Bars:
        """Bars that count the rows of tables as they are read; without a terminal one line each."""
        counts = (MofNCompleteColumn(), TimeElapsedColumn())
        title = TextColumn("{task.description:<16}")
        if self.live:
            return Bars(title, BarColumn(), *counts, console=self.console)
        plain = Console(
            file=self.console.file, force_terminal=False, no_color=True, width=_PLAIN_WIDTH
        )
        return Bars(title, *counts, console=plain)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show `title` until the block ends, then its outcome and duration."""
        started = time.monotonic()
        try:
            if self.live:
                with self.console.status(title):
                    yield
            else:
                yield
        except BaseException:
            self._line("✗", "red", title, started)
            raise
        self._line("✓", "green", title, started)

    def note(self, text: str) -> None:
        self.console.print(Text(f"  {text}", style="dim"), soft_wrap=True)

    def say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def failed(self, error: LocalError) -> None:
        """The one message of a failure."""
        self.console.print(Text(f"Error: {error.message}", style="bold red"), soft_wrap=True)
        self.console.print(Text(f"  {error.hint}"), soft_wrap=True)
        if error.log is not None:
            self.console.print(Text(f"  Log: {error.log}", style="dim"), soft_wrap=True)

    def _on_terminals(self) -> bool:
        return self.console.is_terminal and self.console.file.isatty() and sys.stdout.isatty()

    def _line(self, mark: str, color: str, title: str, started: float) -> None:
        took = f"{time.monotonic() - started:6.1f} s"
        line = Text.assemble((mark, color), f" {title:<{_LONGEST_TITLE}}", (took, "dim"))
        self.console.print(line, soft_wrap=True)
