"""How a settlement file is split into chunks. Pure: a plan is a function of the file's bytes.

So planning twice, concurrently or again after a crash gives the same chunks. Eight bytes are kept
per line, to find identities that occur more than once in the file.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from runtime.reconciliation.files.models import (
    CHUNK_BYTES,
    CHUNK_LINES,
    CHUNK_PAYOUTS,
    MAX_FILE_LINES,
    MAX_FILE_PAYOUTS,
)
from runtime.reconciliation.importers.layout import Layout, Outline, Refusal
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.importers.text_records import Record
from runtime.reconciliation.settlements.models import LATER_FILE_LINES

_HASH_BYTES: Final = 8
"""Of identities: two of a million lines have one hash in one of 37 million files."""
_DATED_LINES: Final = 100
"""Lines in which a date is looked for."""
_SHARDS: Final = 64
"""Parts in which hashes are compared, so that only some are Python objects at once."""
_HASHES_OF_SHARD: Final = 2 ** (8 * _HASH_BYTES) // _SHARDS


@dataclass(frozen=True, slots=True)
class ChunkBounds:
    """Records of one chunk: bytes `start` to `end`, from physical line `first_line` on."""

    start: int
    end: int
    first_line: int
    last_line: int
    lines: int


@dataclass(frozen=True, slots=True)
class Repeats:
    """Lines of one chunk whose identity occurred before in the file.

    `ordinals`: the number of occurrences so far, by physical line. `duplicates`: those
    that have an id of their own.
    """

    ordinals: dict[str, int] = field(default_factory=dict)
    duplicates: list[int] = field(default_factory=list)


NO_REPEATS: Final = Repeats()


@dataclass
class FilePlan:
    """Collects the records of one file, in their order.

    `date` is that of its first line, if the file as a whole is one settlement.
    """

    layout: Layout
    chunks: list[ChunkBounds] = field(default_factory=list)
    lines: int = 0
    date: str | None = None
    _hashes: array[int] = field(default_factory=lambda: array("Q"))
    _payouts: set[str] = field(default_factory=set)
    _in_chunk: set[str] = field(default_factory=set)
    _first: Record | None = None
    _last: Record | None = None
    _count: int = 0

    def add(self, records: Iterable[Record]) -> Refusal | None:
        """Add records, except blank ones. Returns a refusal if the file exceeds a limit."""
        for record in records:
            if record.next_line > LATER_FILE_LINES:
                return Refusal(
                    f"The file has {LATER_FILE_LINES} physical lines or more, blank ones and line "
                    "breaks inside cells included. Remove the blank lines, or split it, with the "
                    "header in each part, and upload the parts."
                )
            if record.is_blank:
                continue
            outline = self.layout.outline(record.cells)
            self._cut_before(record, outline)
            self._take(record, outline)
            if self.lines > MAX_FILE_LINES:
                return Refusal(
                    f"The file has more than {MAX_FILE_LINES} lines. Split it, with the header "
                    "in each part, and upload the parts."
                )
            if len(self._payouts) > MAX_FILE_PAYOUTS:
                return Refusal(
                    f"The file has lines of more than {MAX_FILE_PAYOUTS} payouts. Export fewer "
                    "payouts, or a shorter period, at a time."
                )
        self._cut()
        return None

    def repeated(self) -> array[int]:
        """Hashes of the identities that occurred more than once, sorted."""
        shards = [array("Q") for _ in range(_SHARDS)]
        for each in self._hashes:
            shards[each // _HASHES_OF_SHARD].append(each)
        found = array("Q")
        for shard in shards:
            found.extend(sorted(each for each, count in Counter(shard).items() if count > 1))
        return found

    def _cut_before(self, record: Record, outline: Outline) -> None:
        if self._first is None:
            return
        payouts = len(self._in_chunk | {outline.payout_reference or ""})
        is_full = self._count == CHUNK_LINES or payouts > CHUNK_PAYOUTS
        if is_full or record.end - self._first.start > CHUNK_BYTES:
            self._cut()

    def _take(self, record: Record, outline: Outline) -> None:
        reference = outline.payout_reference or ""
        self._payouts.add(reference)
        if self.date is None and self.lines < _DATED_LINES and not reference:
            line = self.layout.parse(record.line, record.cells)
            if isinstance(line, ImportedLine):
                self.date = line.settlement_date or line.processed_date
        self._in_chunk.add(reference)
        identity = outline.own_identity or outline.content_identity
        if identity is not None:
            self._hashes.append(_hash(identity))
        self._first = self._first or record
        self._last = record
        self._count += 1
        self.lines += 1

    def _cut(self) -> None:
        if self._first is None or self._last is None:
            return
        first, last = self._first, self._last
        self.chunks.append(
            ChunkBounds(first.start, last.end, first.line, last.next_line - 1, self._count)
        )
        self._first = self._last = None
        self._count = 0
        self._in_chunk = set()


def repeats_by_chunk(
    layout: Layout, records: Iterable[Record], chunks: Sequence[ChunkBounds], repeated: array[int]
) -> Iterator[Repeats]:
    """The repeats of each chunk, in order, from a second reading of the file's records.

    `repeated` are the hashes that FilePlan found. Most files have none, and need no second reading.
    Records before the first chunk are its header.
    """
    seen = array("L", bytes(repeated.itemsize * len(repeated)))
    number, found = 0, Repeats({}, [])
    for record in records:
        if record.is_blank or record.start < chunks[0].start:
            continue
        while record.start >= chunks[number].end:
            yield found
            number, found = number + 1, Repeats({}, [])
        outline = layout.outline(record.cells)
        identity = outline.own_identity or outline.content_identity
        if identity is None:
            continue
        hashed = _hash(identity)
        place = bisect_left(repeated, hashed)
        if place == len(repeated) or repeated[place] != hashed:
            continue
        seen[place] += 1
        if seen[place] > 1:
            found.ordinals[str(record.line)] = seen[place]
            if outline.own_identity:
                found.duplicates.append(record.line)
    if chunks:
        yield found


def _hash(identity: str) -> int:
    digest = hashlib.blake2b(identity.encode(errors="surrogatepass"), digest_size=_HASH_BYTES)
    return int.from_bytes(digest.digest(), "big")
