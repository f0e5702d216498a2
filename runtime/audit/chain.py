"""The hash chain of an entity's audit rows: how a row is hashed, and what a valid chain is.

`hash` is the SHA-256 (hex) of the canonical JSON (core/canonical_json.py) of every other attribute
of the row. `prev_hash` is the `hash` of the previous row in the order of `sequence`; in the first
row it is 64 zeros. Changing, removing, swapping or inserting a row therefore requires rehashing
every later row, which the archive and its signed roots detect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runtime.audit.actions import OUT_OF_BAND_ACTION
from runtime.audit.models import AuditRow
from runtime.core.canonical_json import canonical_json

GENESIS: Final = "0" * 64
"""`prev_hash` of an entity's first row."""
OUTSIDE: Final = "#"
"""Separates the version from the stream sequence number in the key of an out-of-sequence row."""
_RECORD: Final = "record "
_VERSION_DIGITS: Final = 12
_STREAM_DIGITS: Final = 40
"""DynamoDB's sequence numbers have up to 40 digits (API reference, StreamRecord)."""


def version_key(version: int) -> str:
    """`sequence` of the row of a version."""
    return f"{version:0{_VERSION_DIGITS}d}"


FIRST: Final = version_key(1)
"""`sequence` of the first row of every chain, so that a put of it is refused where a chain exists.
If the row is of an out-of-band change, its version may be any."""


def outside_key(version: int, stream_sequence: str, behind: str = "") -> str:
    """`sequence` of an out-of-sequence row: after `version`, and sorting after `behind`.

    It ends with the sequence number of the stream record. A chain only grows at its end, so if
    `behind` has a higher number, its leading parts are copied until the new key sorts after it.
    """
    place, *numbers = behind.split(OUTSIDE)
    place, number = max(place, version_key(version)), _padded(stream_sequence)
    while f"{place}{OUTSIDE}{number}" <= behind:
        place = f"{place}{OUTSIDE}{numbers.pop(0)}"
    return f"{place}{OUTSIDE}{number}"


def version_in(sequence: str) -> int:
    """The version in a `sequence`: the row's own, or the one it follows."""
    return int(sequence.partition(OUTSIDE)[0])


def is_outside(sequence: str) -> bool:
    """Whether the row is out of sequence: an out-of-band change, or a version recorded late."""
    return OUTSIDE in sequence


def is_beginning(row: AuditRow) -> bool:
    """Whether the row is of an out-of-band change, and the first of its chain."""
    return row.sequence == FIRST and row.action == OUT_OF_BAND_ACTION


def version_known(head: AuditRow) -> int:
    """The newest version that the chain ending with `head` records."""
    return max(head.version, 1) if is_beginning(head) else version_in(head.sequence)


def is_of_record(row: AuditRow, stream_sequence: str) -> bool:
    """Whether the row is out of sequence and was made from this stream record."""
    return _record_of(row) == _padded(stream_sequence)


def is_before_record(row: AuditRow, stream_sequence: str) -> bool:
    """Whether the row is out of sequence and was made from an earlier stream record."""
    return "" < _record_of(row) < _padded(stream_sequence)


def cause_of_record(stream_sequence: str) -> str:
    """`cause` of an out-of-band change that begins a chain: the stream record that reported it."""
    return f"{_RECORD}{stream_sequence}"


def _record_of(row: AuditRow) -> str:
    """The stream sequence number of a row out of sequence; empty if it is not known."""
    if is_outside(row.sequence):
        return row.sequence.rpartition(OUTSIDE)[2]
    if is_beginning(row) and row.cause.startswith(_RECORD):
        return _padded(row.cause.removeprefix(_RECORD))
    return ""


def _padded(stream_sequence: str) -> str:
    return f"{stream_sequence:0>{_STREAM_DIGITS}}"


def hashed_text(row: AuditRow) -> bytes:
    """What the row's `hash` is the SHA-256 of: the canonical JSON of its other attributes."""
    return canonical_json(row.model_dump(mode="json", exclude={"hash"}))


def hash_of(row: AuditRow) -> str:
    """The expected `hash` of the row."""
    return hashlib.sha256(hashed_text(row)).hexdigest()


def sealed(row: AuditRow) -> AuditRow:
    """The row with its hash."""
    return row.model_copy(update={"hash": hash_of(row)})


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of the table that is not a valid audit row."""

    entity_id: str
    sequence: str


@dataclass(frozen=True, slots=True)
class Link:
    """The chain-relevant part of a row; `holds` says whether its hash matches its content."""

    sequence: str
    version: int
    action: str
    prev_hash: str
    hash: str
    holds: bool

    @staticmethod
    def of(row: AuditRow) -> Link:
        """Hash a row and keep what verification needs."""
        return Link(
            sequence=row.sequence,
            version=row.version,
            action=row.action,
            prev_hash=row.prev_hash,
            hash=row.hash,
            holds=row.hash == hash_of(row),
        )


@dataclass(frozen=True, slots=True)
class Broken:
    """The first broken link of a chain. `position` counts the rows from 1."""

    sequence: str
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """Result of verifying a whole chain; `head_hash` is the hash of the last valid row."""

    length: int
    head_hash: str
    first_bad: Broken | None

    @property
    def valid(self) -> bool:
        """Whether the chain is intact."""
        return self.first_bad is None


class ChainCheck:
    """Verifies the rows of one entity one by one, in the order of `sequence`."""

    def __init__(self, entity_id: str) -> None:
        self._is_shard = OUTSIDE in entity_id
        self._before: Link | None = None
        self._newest = 0
        self._length = 0
        self._bad: Broken | None = None

    def look_at(self, row: AuditRow | Link | Unreadable) -> Broken | None:
        """Check the next row. Returns the first break; rows after it are only counted."""
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
            placed = 0 if is_outside(row.sequence) else version_in(row.sequence)
            self._newest = max(self._newest, row.version, placed)
        return self._bad

    def verdict(self) -> ChainVerdict:
        """The result so far."""
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
            # A balance shard only has rows of out-of-band changes: entries record its versions.
            missing = place > version_key(self._newest) and not self._is_shard
            return f"it follows version {place}, which has no row" if missing else None
        begins = self._before is None and place == FIRST and row.action == OUT_OF_BAND_ACTION
        if begins:
            return None
        if place != version_key(row.version):
            return f"its version {row.version} does not match its sequence"
        known = 0 if self._before is None else self._before.version
        jumped = self._before is not None and is_outside(self._before.sequence)
        follows = row.version <= self._newest + 1 if jumped else row.version == known + 1
        return None if follows else f"version {known} is followed by version {row.version}"


def check_chain(rows: Iterable[AuditRow | Unreadable]) -> ChainVerdict:
    """Verify all rows of one entity, given in the order of `sequence`."""
    check: ChainCheck | None = None
    for row in rows:
        check = check or ChainCheck(row.entity_id)
        check.look_at(row)
    return (check or ChainCheck("")).verdict()
