"""The chain of an entity's audit rows: how a row is hashed, and what a whole chain must be.

`hash` is the SHA-256 (hex) of the canonical JSON (core/canonical_json.py) of every other attribute
of the row. `prev_hash` is the `hash` of the row before it in the order of `sequence`, and 64 zeros
in the first. So whoever changes, removes, swaps or inserts a row has to make every later hash
again; what then still gives him away is the archive and its signed roots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runtime.audit.models import AuditRow
from runtime.core.canonical_json import digest

GENESIS: Final = "0" * 64
"""`prev_hash` of an entity's first row."""
OUTSIDE: Final = "#"
"""Parts a version from a stream's sequence number: the row tells a change made outside."""
_VERSION_DIGITS: Final = 12
_STREAM_DIGITS: Final = 40
"""DynamoDB's sequence numbers have up to 40 digits (API reference, StreamRecord)."""


def version_key(version: int) -> str:
    """`sequence` of the row that tells one version."""
    return f"{version:0{_VERSION_DIGITS}d}"


def outside_key(version: int, stream_sequence: str, behind: str = "") -> str:
    """`sequence` of a row that has no version's place, after `version` and sorting after `behind`.

    Its last part is the number of the stream's record that it tells. A chain grows at its end
    alone, so where a row with a higher number stands there, as much of that one's `sequence` comes
    before the number as puts it behind.
    """
    place, *numbers = behind.split(OUTSIDE)
    place, number = max(place, version_key(version)), _padded(stream_sequence)
    while f"{place}{OUTSIDE}{number}" <= behind:
        place = f"{place}{OUTSIDE}{numbers.pop(0)}"
    return f"{place}{OUTSIDE}{number}"


def version_in(sequence: str) -> int:
    """The version in a `sequence`: the row's own, or the one after which it stands."""
    return int(sequence.partition(OUTSIDE)[0])


def is_outside(sequence: str) -> bool:
    """Whether the row has no version's place.

    It tells a change made outside the application, or a version that came when later ones had been
    told.
    """
    return OUTSIDE in sequence


def is_of_record(sequence: str, stream_sequence: str) -> bool:
    """Whether the row has no version's place, and was made from this record of the stream."""
    return _record_of(sequence) == _padded(stream_sequence)


def is_before_record(sequence: str, stream_sequence: str) -> bool:
    """Whether the row has no version's place, and was made from an earlier record of the stream."""
    return is_outside(sequence) and _record_of(sequence) < _padded(stream_sequence)


def _record_of(sequence: str) -> str:
    return sequence.rpartition(OUTSIDE)[2]


def _padded(stream_sequence: str) -> str:
    return f"{stream_sequence:0>{_STREAM_DIGITS}}"


def hash_of(row: AuditRow) -> str:
    """What the row's `hash` has to be."""
    return digest(row.model_dump(mode="json", exclude={"hash"}))


def sealed(row: AuditRow) -> AuditRow:
    """The row with its hash."""
    return row.model_copy(update={"hash": hash_of(row)})


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row of the table that is no audit row any more."""

    sequence: str


@dataclass(frozen=True, slots=True)
class Link:
    """What of a row makes it a link of a chain; `holds`: its hash is that of its content."""

    sequence: str
    version: int
    prev_hash: str
    hash: str
    holds: bool

    @staticmethod
    def of(row: AuditRow) -> Link:
        """Hash a row and keep what its neighbours need."""
        return Link(row.sequence, row.version, row.prev_hash, row.hash, row.hash == hash_of(row))


@dataclass(frozen=True, slots=True)
class Broken:
    """The first link of a chain that does not hold. `position` counts the rows from 1."""

    sequence: str
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """What a look at a whole chain found; `head_hash` is that of the last row that holds."""

    length: int
    head_hash: str
    first_bad: Broken | None

    @property
    def valid(self) -> bool:
        """Every row is what it was when it was written, as far as the chain can tell."""
        return self.first_bad is None


class ChainCheck:
    """Looks at the rows of one entity, one after the other, in the order of `sequence`."""

    def __init__(self) -> None:
        self._before: Link | None = None
        self._newest = 0
        self._length = 0
        self._bad: Broken | None = None

    def look_at(self, row: AuditRow | Link | Unreadable) -> Broken | None:
        """Whether this row breaks the chain; after the first break nothing more is judged."""
        if isinstance(row, AuditRow):
            row = Link.of(row)
        self._length += 1
        if self._bad is not None:
            return None
        reason = self._fault(row)
        if reason is not None:
            self._bad = Broken(row.sequence, self._length, reason)
        elif isinstance(row, Link):
            self._before = row
            self._newest = max(self._newest, row.version)
        return self._bad

    def verdict(self) -> ChainVerdict:
        """What was found."""
        head = GENESIS if self._before is None else self._before.hash
        return ChainVerdict(self._length, head, self._bad)

    def _fault(self, row: Link | Unreadable) -> str | None:
        if isinstance(row, Unreadable):
            return "the row is not an audit row: an attribute is missing or has the wrong type"
        if not row.holds:
            return "the row does not match its hash: it was changed"
        expected = GENESIS if self._before is None else self._before.hash
        if row.prev_hash != expected:
            return (
                f"its prev_hash {row.prev_hash[:12]}… is not the hash {expected[:12]}… of the row "
                "before: a row was changed, removed, inserted or moved"
            )
        return self._fault_of_sequence(row)

    def _fault_of_sequence(self, row: Link) -> str | None:
        place = row.sequence.partition(OUTSIDE)[0]
        if is_outside(row.sequence):
            untold = place > version_key(self._newest)
            return f"it follows version {place}, for which there is no row" if untold else None
        if place != version_key(row.version):
            return f"it is of version {row.version}, which does not match its sequence"
        known = 0 if self._before is None else self._before.version
        jumped = self._before is not None and is_outside(self._before.sequence)
        follows = row.version <= self._newest + 1 if jumped else row.version == known + 1
        return None if follows else f"version {known} is followed by version {row.version}"


def check_chain(rows: Iterable[AuditRow | Unreadable]) -> ChainVerdict:
    """Look at all rows of one entity, given in the order of `sequence`."""
    check = ChainCheck()
    for row in rows:
        check.look_at(row)
    return check.verdict()
