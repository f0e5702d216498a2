"""Verifies one entity: its chain, the archive and the item in its table together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from operations.audit.archive_verification import Finding
from operations.audit.verification_db import ChainEntry, IndexedEntity, IndexedRow
from runtime.audit.actions import OUT_OF_BAND_ACTION, REBUILT
from runtime.audit.chain import OUTSIDE, ChainCheck, Link, Unreadable, is_outside
from runtime.core.timestamps import to_datetime

LONGEST_REQUEST: Final = timedelta(minutes=15)
"""Lambda's limit. A version's row says when its request began, a row from outside when the change
was made: only what is further apart than this has a sure order."""


@dataclass(frozen=True, slots=True)
class OutsideRow:
    """A row of an out-of-band change, and the alert that was raised before it was written."""

    position: int
    sequence: str
    alert_id: str


@dataclass
class ChainView:
    """The result of checking one entity: final errors, and errors that may only be recent."""

    item: IndexedEntity | None = None
    bad: Finding | None = None
    unarchived: Finding | None = None
    unarchived_at: str = ""
    untold: str | None = None
    length: int = 0
    last: IndexedRow | None = None
    outside: list[OutsideRow] = field(default_factory=list)
    """The rows before the first invalid link."""

    @property
    def is_suspect(self) -> bool:
        """Whether it must be checked again before it counts as an error."""
        return self.unarchived is not None or self.untold is not None


def view_chain(
    entity_id: str,
    item: IndexedEntity | None,
    places: Iterator[ChainEntry],
    before: IndexedEntity | None = None,
) -> ChainView:
    """Follow one chain to its end, or to the first invalid link.

    `before`: the item at an earlier check, when no audit row recorded it. If a row records it now
    and the item has changed again, it changes faster than it can be checked: counted as recorded.
    """
    look, check, versions = ChainView(item), ChainCheck(entity_id), _Versions()
    news = _ShardNews(item) if OUTSIDE in entity_id else _News(item, before)
    for place in places:
        look.length += 1
        reason = _fault(place, check) or versions.fault(place)
        if reason is not None:
            look.bad = look.bad or Finding(entity_id, look.length, place.sequence, reason)
            continue
        assert place.row is not None, "a row that is missing is a fault"
        if look.bad is None and place.row.action == OUT_OF_BAND_ACTION:
            out_of_band = OutsideRow(look.length, place.sequence, place.row.alert_id)
            look.outside.append(out_of_band)
        if not place.archived and look.unarchived is None:
            reason = f"it is from {place.row.timestamp} and is missing in the archive"
            look.unarchived = Finding(entity_id, look.length, place.sequence, reason)
            look.unarchived_at = place.row.timestamp
        look.last = place.row
        news.hear(place.row)
    look.untold = news.fault()
    return look


def unheard(look: ChainView, entity_id: str, raised: set[str]) -> Finding | None:
    """The first out-of-band row whose alert is not in `raised`: the projector did not write it."""
    for row in look.outside:
        if row.alert_id not in raised:
            reason = "it records an out-of-band change without an alert: it is forged"
            return Finding(entity_id, row.position, row.sequence, reason)
    return None


def _fault(place: ChainEntry, check: ChainCheck) -> str | None:
    """Why this place of the chain is invalid, or None."""
    row = place.row
    if row is None:
        return "it was archived but is not in the table: it was deleted"
    if len(place.archived) > 1:
        return f"it was archived with {len(place.archived)} contents: it was written again"
    link: Link | Unreadable = Unreadable(row.entity_id, place.sequence)
    if row.hash is not None:
        link = Link(
            sequence=place.sequence,
            version=row.version,
            action=row.action,
            prev_hash=row.prev_hash,
            hash=row.hash,
            holds=row.holds,
        )
    broken = check.look_at(link)
    if broken is not None:
        return broken.reason
    if place.archived and row.hash != place.archived[0]:
        return "it differs from the archived row: it was changed and hashed again"
    return None


@dataclass
class _Versions:
    """The versions with a row in their own place."""

    _newest: int = 0
    _open: list[range] = field(default_factory=list)
    """Versions before the newest that have no row, or one that was rebuilt from the next."""

    def fault(self, place: ChainEntry) -> str | None:
        """Why this row cannot record its version: it claims to be late, but one in time exists."""
        row = place.row
        assert row is not None, "a row that is missing is a fault"
        if not _is_outside(row):
            self._open.append(range(self._newest + 1, row.version + (row.action == REBUILT)))
            self._newest = row.version
            return None
        if row.action == OUT_OF_BAND_ACTION or row.version > self._newest:
            return None
        if any(row.version in versions for versions in self._open):
            return None
        return f"it records version {row.version}, which has a row of its own: it is forged"


@dataclass
class _News:
    """Whether the rows record the item's current values, and nothing newer."""

    item: IndexedEntity | None
    before: IndexedEntity | None
    _version: IndexedRow | None = None
    _outside: IndexedRow | None = None
    """The newest row of either kind."""
    _before_was_told: bool = False
    _told_by: IndexedRow | None = None
    _overtaken_by: IndexedRow | None = None

    def hear(self, row: IndexedRow) -> None:
        """One row after the other, in the order of the chain."""
        if self.before is not None and _tells(row, self.before):
            self._before_was_told = True
        if _tells(row, self.item):
            newest = (self._version, self._outside)
            newer = next((each for each in newest if each and _is_late(row, each)), None)
            if newer is None or self._told_by is None:
                self._told_by, self._overtaken_by = row, newer
        elif self._told_by is not None and _is_newer(row, self._told_by):
            self._overtaken_by = row
        if not _is_outside(row):
            self._version = row
        elif self._outside is None or not _is_late(row, self._outside):
            self._outside = row

    def fault(self) -> str | None:
        """Why the newest row does not record the item's values."""
        is_any = self._version is not None or self._outside is not None
        if self._told_by is not None and self._overtaken_by is None:
            return None
        if self.item is None:
            return "it is missing, and no row records its deletion" if is_any else None
        if self._before_was_told and self.item != self.before:
            return None
        version = self.item.version
        if not is_any:
            return "no row records its creation"
        if self._told_by is None:
            return f"it is of version {version}, but no row records its values: it was changed"
        return f"it is of version {version}, but later rows record other values: it was restored"


@dataclass
class _ShardNews:
    """Whether the rows contradict the item of a balance shard.

    They record only out-of-band changes; later versions are recorded by entries, which ledger
    verification compares with the balance.
    """

    item: IndexedEntity | None
    _newest: IndexedRow | None = None
    _since_deleted: int = 0
    """The newest version since the last deletion."""
    _told_by: IndexedRow | None = None

    def hear(self, row: IndexedRow) -> None:
        """One row after the other, in the order of the chain."""
        self._newest = row
        if _tells(row, self.item):
            self._told_by = row
        elif self._told_by is not None and not _is_late(row, self._told_by):
            self._told_by = None
        self._since_deleted = max(self._since_deleted, row.version) if row.image_hash else 0

    def fault(self) -> str | None:
        """Why the item cannot have followed from the rows by postings alone."""
        if self._newest is None or self._told_by is not None:
            return None
        if self.item is None:
            return "it is missing, and no row records its deletion"
        if not self._newest.image_hash:
            return "no row records its creation"
        if self.item.version > self._since_deleted:
            return None
        return f"it is of version {self.item.version}, but no row records its values"


def _tells(row: IndexedRow, item: IndexedEntity | None) -> bool:
    if item is None:
        return not row.image_hash
    return (row.version, row.image_hash) == (item.version, item.image_hash)


def _is_newer(row: IndexedRow, other: IndexedRow) -> bool:
    """Whether this row's change certainly happened after that of the row before it.

    A row outside of its version's place may be late, and follows the newest version.
    """
    if not _is_outside(row):
        return True
    if _is_outside(other):
        # A change whose record was lost is recorded under the number of the one that revealed it.
        return _stream_number(row) >= _stream_number(other)
    return to_datetime(row.timestamp) > to_datetime(other.timestamp) + LONGEST_REQUEST


def _is_late(row: IndexedRow, other: IndexedRow) -> bool:
    """Whether this row's change certainly happened before that of the row before it."""
    if not _is_outside(row):
        return False
    if _is_outside(other):
        return _stream_number(row) < _stream_number(other)
    return row.action != OUT_OF_BAND_ACTION and row.version < other.version


def _is_outside(row: IndexedRow) -> bool:
    """Whether the row is out of sequence; the first of a chain may be, in version 1's place."""
    return is_outside(row.sequence) or row.action == OUT_OF_BAND_ACTION


def _stream_number(row: IndexedRow) -> str:
    """The number of the row's record; empty if the row is the first of its chain."""
    return row.sequence.rpartition(OUTSIDE)[2] if is_outside(row.sequence) else ""
