"""Records of a settlement file's bytes: the position and the cells of each. Pure.

A record is as in RFC 4180: line breaks inside quotes belong to it. The planner of a file
and the workers of its chunks use this same reader, so they agree on every record. An unclosed
quote affects only its own line: reading continues with the next physical line. Memory
is limited to one record of MAX_RECORD_BYTES and what is needed to find its end.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

MAX_RECORD_BYTES: Final = 64 * 1024
"""A line of a processor's report has some hundred bytes; one that never ends must not fill the
memory."""
MAX_RECORD_LINES: Final = 32
"""Physical lines of one record. Each line may open a quote that none closes: then so many are
looked at for every line, and no more."""
_BYTE_ORDER_MARK = "\ufeff"
_QUOTE = '"'
_PLAIN_WORDS: Final = {
    "new-line character seen": "a carriage return stands in a cell without quotes",
    "unexpected end of data": "a quote is opened and never closed",
}
_OPEN_QUOTE: Final = f"a quote is open for more than {MAX_RECORD_LINES} lines"


@dataclass(frozen=True, slots=True)
class Record:
    """One record: bytes `start` to `end` of the file, beginning on physical line `line`, from 1.

    `reason` says why it cannot be read into cells.
    """

    start: int
    end: int
    line: int
    next_line: int
    cells: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def is_blank(self) -> bool:
        """Whether it has no content."""
        return self.reason is None and not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True, slots=True)
class _PhysicalLine:
    """One line of the file with its line end; `text` is None for one that is too long."""

    size: int
    text: str | None


def read_records(
    blocks: Iterable[bytes], delimiter: str, *, offset: int = 0, line: int = 1
) -> Iterator[Record]:
    """The records of UTF-8 text that begins at byte `offset`, on physical line `line`.

    Bytes that are not UTF-8 become U+FFFD. A byte order mark at the start of the file is dropped.
    """
    lines = _Lines(_physical_lines(blocks, is_start=offset == 0))
    while (first := lines.pull()) is not None:
        cells, count, reason = _cells(first, lines, delimiter)
        size = first.size + sum(each.size for each in lines.take(count - 1))
        yield Record(offset, offset + size, line, line + count, cells, reason)
        offset += size
        line += count


class _Lines:
    """A look-ahead buffer of physical lines."""

    def __init__(self, source: Iterator[_PhysicalLine]) -> None:
        self._source = source
        self._ahead: deque[_PhysicalLine] = deque()

    def pull(self) -> _PhysicalLine | None:
        """The next line; None at the end."""
        return self._ahead.popleft() if self._ahead else next(self._source, None)

    def look(self, position: int) -> _PhysicalLine | None:
        """The line `position` places ahead, from 0, without consuming it."""
        while len(self._ahead) <= position:
            line = next(self._source, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[position]

    def take(self, count: int) -> list[_PhysicalLine]:
        """Consume the next lines."""
        return [self._ahead.popleft() for _ in range(count)]


def _cells(
    first: _PhysicalLine, lines: _Lines, delimiter: str
) -> tuple[tuple[str, ...], int, str | None]:
    """Cells of the record that begins with `first`, its number of lines, or why it has no cells."""
    text = first.text
    if text is None:
        return (), 1, f"longer than {MAX_RECORD_BYTES} bytes"
    if _QUOTE not in text and "\r" not in text[:-2]:
        plain = text.rstrip("\r\n")
        return (tuple(plain.split(delimiter)) if plain else ()), 1, None
    count = 0

    def pulled() -> Iterator[str]:
        nonlocal count
        size, line = 0, first
        while line.text is not None and (size := size + line.size) <= MAX_RECORD_BYTES:
            if count == MAX_RECORD_LINES:
                raise csv.Error(_OPEN_QUOTE)
            count += 1
            yield line.text
            following = lines.look(count - 1)
            if following is None:
                return
            line = following

    try:
        cells = next(csv.reader(pulled(), delimiter=delimiter, strict=True))
    except csv.Error as error:
        # Only the first line is known to be at fault: the others are read again.
        return (), 1, f"not readable as CSV: {_in_plain_words(str(error))}"
    return tuple(cells), count, None


def _in_plain_words(error: str) -> str:
    """An error of the csv module, in words for the owner of the file."""
    return next((words for begin, words in _PLAIN_WORDS.items() if error.startswith(begin)), error)


def _physical_lines(blocks: Iterable[bytes], *, is_start: bool) -> Iterator[_PhysicalLine]:
    held: list[bytes] = []
    size = 0
    for block in blocks:
        *complete, tail = block.split(b"\n")
        for piece in complete:
            held.append(piece)
            yield _physical_line(held, size + len(piece) + 1, is_start, ended=True)
            held, size, is_start = [], 0, False
        size += len(tail)
        # Only the length of a line that is too long is kept.
        held = [*held, tail] if size <= MAX_RECORD_BYTES else []
    if size:
        yield _physical_line(held, size, is_start, ended=False)


def _physical_line(pieces: list[bytes], size: int, is_start: bool, *, ended: bool) -> _PhysicalLine:
    if size > MAX_RECORD_BYTES:
        return _PhysicalLine(size, None)
    text = b"".join(pieces).decode("utf-8", "replace")
    if is_start:
        text = text.removeprefix(_BYTE_ORDER_MARK)
    return _PhysicalLine(size, text + "\n" if ended else text)
