"""Common parts of all layouts of settlement files: columns found by name, strict parsing.

A layout is bound to one file's header. Columns may have any order, unknown ones are ignored. A
cell that cannot be parsed makes its line unreadable, with the column, the value and the reason.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, NoReturn

from runtime.core.card_numbers import holds_card_number
from runtime.core.currency import DECIMALS
from runtime.core.echo import NOT_REPEATED, echoed
from runtime.reconciliation.importers.line import ImportedLine, UnreadableLine
from runtime.reconciliation.settlements.models import SettlementFormat

MAX_CELL_CHARACTERS: Final = 512
"""Of a column that is read. No processor documents longer values (Stripe: metadata of 500), and in
UTF-8 it is at most as long as a key of DynamoDB may be: 2,048 bytes."""
CONTENT_HASH_CHARACTERS: Final = 32
"""Of the SHA-256 that represents the content of a line without an id: 128 bits."""
CONTENT_IDENTITY: Final = "content:"
"""Prefix of identities of lines without an id."""
_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file cannot be read at all, and what to do about it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts of a line that planning a file needs.

    `own_identity`: its own id, which must be unique. `content_identity` only for lines
    without one: those may repeat exactly, and the planner numbers the repetitions.
    """

    payout_reference: str | None = None
    content_identity: str | None = None
    own_identity: str | None = None


class Unreadable(Exception):
    """A line cannot be read; the message says why."""


class Row:
    """The cells of one line by the names of their columns, stripped."""

    __slots__ = ("_cells", "_positions")

    def __init__(self, positions: Mapping[str, int], cells: Sequence[str]) -> None:
        self._positions = positions
        self._cells = cells

    def text(self, column: str) -> str:
        """The cell, or an empty text if the file lacks the column. Raises Unreadable."""
        position = self._positions.get(column)
        if position is None:
            return ""
        cell = self._cells[position].strip()
        if len(cell) > MAX_CELL_CHARACTERS:
            raise Unreadable(f"{column} is longer than {MAX_CELL_CHARACTERS} characters")
        return cell

    def filled(self, column: str) -> str:
        """The cell, which must not be empty. Raises Unreadable."""
        return self.text(column) or _empty(column)

    def currency(self, column: str, *, any_case: bool = True) -> str:
        """An ISO 4217 code, converted to capitals. Raises Unreadable."""
        code = self.filled(column)
        if any_case:
            code = code.upper()
        if code not in DECIMALS:
            raise Unreadable(f"{column} {echoed(code)!r} is not an ISO 4217 currency code")
        return code


class Layout(ABC):
    """A layout, bound to the header of one file.

    Of each tuple in `one_of`, one column must exist. Names are compared without regard to case
    and to the number of blanks in them.
    """

    format: ClassVar[SettlementFormat]
    title: ClassVar[str]
    needed: ClassVar[tuple[str, ...]]
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def known(cls) -> tuple[str, ...]:
        """All columns that are read."""
        return distinct(
            (*cls.needed, *(name for names in cls.one_of for name in names), *cls.optional)
        )

    def __init__(self, header: Sequence[str]) -> None:
        names = [normalized(name) for name in header]
        known = {normalized(name): name for name in self.known()}
        self._width = len(names)
        self._positions = {known[name]: at for at, name in enumerate(names) if name in known}

    @classmethod
    def refusal(cls, header: Sequence[str]) -> Refusal | None:
        """Why a file of this layout with this header cannot be read; None if it can."""
        counts = Counter(normalized(name) for name in header)
        file = f"This is a file in the layout of {cls.title}"
        missing = [name for name in cls.needed if normalized(name) not in counts]
        if missing:
            columns, them = ("column", "it") if len(missing) == 1 else ("columns", "them")
            return Refusal(
                f"{file} without the {columns} {', '.join(missing)}. Export it again with {them}."
            )
        for names in cls.one_of:
            if not any(normalized(name) in counts for name in names):
                return Refusal(
                    f"{file} without any of the columns {', '.join(names)}. Export it again with "
                    "one of them."
                )
        for name in cls.known():
            if counts[normalized(name)] > 1:
                return Refusal(
                    f"{file} with the column {name} more than once. Export it again with only one."
                )
        return None

    def parse(self, number: int, cells: Sequence[str]) -> ImportedLine | UnreadableLine | None:
        """Read one record. `number` is the physical line on which it begins, from 1.

        None for a blank record, and for one that is not a line of the settlement.
        """
        if not self._is_line(cells):
            return None
        row = Row(self._positions, cells)
        reference = None
        try:
            self._check_width(cells)
            reference = self._payout_reference(row)
            return _without_card_number(self._line(number, row))
        except Unreadable as unreadable:
            return UnreadableLine(number, str(unreadable), reference)

    def outline(self, cells: Sequence[str]) -> Outline:
        """The payout of a record, and its own id or its content's identity.

        Cheap; for an unreadable record it returns what it can.
        """
        if len(cells) != self._width or not self._is_line(cells):
            return Outline()
        row = Row(self._positions, cells)
        try:
            own = self._own_identity(row) or None
            content = None if own else self._content_identity(row)
            return Outline(self._payout_reference(row), content, own)
        except Unreadable:
            return Outline()

    def _is_line(self, cells: Sequence[str]) -> bool:
        """Whether a record is a line of the settlement at all."""
        return any(cell.strip() for cell in cells)

    def _check_width(self, cells: Sequence[str]) -> None:
        if len(cells) != self._width:
            raise Unreadable(f"{len(cells)} columns instead of {self._width}")

    def _identity(self, row: Row) -> str:
        return self._own_identity(row) or self._content_identity(row)

    def _content_identity(self, row: Row) -> str:
        """Of all known columns, so that an added column changes nothing."""
        content = _SEPARATOR.join(row.text(name) for name in self.known())
        digest = hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()
        return f"{CONTENT_IDENTITY}{digest[:CONTENT_HASH_CHARACTERS]}"

    @abstractmethod
    def _line(self, number: int, row: Row) -> ImportedLine: ...

    @abstractmethod
    def _own_identity(self, row: Row) -> str | None: ...

    @abstractmethod
    def _payout_reference(self, row: Row) -> str | None: ...


def normalized(name: str) -> str:
    """A column's name in the form used for comparison."""
    return " ".join(name.split()).casefold()


def _without_card_number(line: ImportedLine) -> ImportedLine:
    """The line, its unknown category omitted if it contains a card number: it would be shown."""
    if line.type is None and holds_card_number(line.category):
        return replace(line, category=NOT_REPEATED)
    return line


def check_sum(names: tuple[str, str, str], amount: int, fee: int, net: int) -> None:
    """Amount less fee must be net, in minor units. Raises Unreadable with the three values."""
    if amount - fee != net:
        what = (f"{name} {value}" for name, value in zip(names, (amount, fee, net), strict=True))
        gross, cost, rest = what
        raise Unreadable(f"{gross} less {cost} is not {rest} (minor units)")


def distinct(values: Iterable[str]) -> tuple[str, ...]:
    """The values that are not empty, each once, in order."""
    return tuple(dict.fromkeys(value for value in values if value))


def _empty(column: str) -> NoReturn:
    raise Unreadable(f"{column} is empty")
