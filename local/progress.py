"""What a person sees while the local stage works: each step, and how long it took.

Everything goes to standard error, so that standard output stays what a command was asked for.
"""

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


class Progress:
    """Prints a line per step; on a terminal also a spinner while the step runs."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)

    def rows(self) -> Bars:
        """Bars that count the rows of tables as they are read."""
        columns = (
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        return Bars(*columns, console=self.console)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show `title` until the block ends, then its outcome and duration."""
        started = time.monotonic()
        try:
            if self.console.is_terminal:
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

    def _line(self, mark: str, color: str, title: str, started: float) -> None:
        took = f"{time.monotonic() - started:6.1f} s"
        line = Text.assemble((mark, color), f" {title:<{_LONGEST_TITLE}}", (took, "dim"))
        self.console.print(line, soft_wrap=True)
