"""Pieces that a worker writes, each with the position from which it can continue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from runtime.core.delimited_text import csv_lines, json_line
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.http.shapes import Answer
from runtime.reporting.exports.models import ExportFormat

ROWS_AT_ONCE: Final = MAX_TRANSACTION_ITEMS
"""Rows read by key in one call."""
LOOKED_AT_ONCE: Final = 1_000
"""Index entries without a match after which a worker may still be interrupted."""

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of an export as text; `position` is where its source continues after them."""

    data: bytes
    rows: int
    position: str


class Source(Protocol):
    """Rows in a stable order: a position always means the same place."""

    def header(self) -> bytes:
        """The beginning of the file."""
        ...

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """Everything after a position (None: from the beginning).

        Raises PlatformError: NotFound and others if the export can never be made.
        """
        ...


class RowWriter:
    """Answers of the API as lines of CSV or JSON."""

    def __init__(self, shape: type[Answer], format_: ExportFormat) -> None:
        self._columns = tuple(shape.model_fields)
        self._csv = format_ is ExportFormat.CSV

    def header(self) -> bytes:
        """CSV begins with the names of the columns."""
        return csv_lines([self._columns]) if self._csv else b""

    def lines(self, rows: Iterable[Answer]) -> bytes:
        """One line for each row."""
        plain: list[dict[str, Any]] = [row.model_dump(mode="json") for row in rows]
        if self._csv:
            return csv_lines([row[name] for name in self._columns] for row in plain)
        return b"".join(json_line(row) for row in plain)

    def chunk(self, rows: Sequence[Answer], position: str) -> Chunk:
        """The rows, after which their source goes on at `position`."""
        return Chunk(self.lines(rows), len(rows), position)


@dataclass(frozen=True)
class Selection:
    """Entries of an index that are processed together, and the position after the last one."""

    entries: tuple[Any, ...]
    position: str


def selections(
    entries: Iterable[Entry],
    *,
    position: Callable[[Entry], str],
    matches: Callable[[Entry], bool] = lambda _: True,
) -> Iterator[Selection]:
    """Matching entries, as many together as one call reads the rows of.

    If few match, partial results are returned from time to time, so that a worker can stop.
    """
    found: list[Entry] = []
    looked_at, last = 0, ""
    for entry in entries:
        looked_at += 1
        last = position(entry)
        if matches(entry):
            found.append(entry)
        if len(found) == ROWS_AT_ONCE or looked_at == LOOKED_AT_ONCE:
            yield Selection(tuple(found), last)
            found, looked_at = [], 0
    if looked_at:
        yield Selection(tuple(found), last)


def by_hundreds(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids, as many together as one call reads."""
    for start in range(0, len(ids), ROWS_AT_ONCE):
        yield ids[start : start + ROWS_AT_ONCE]
