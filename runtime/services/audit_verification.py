"""The whole audit log verified: its chains, its archive, and the entities that it tells of.

First the archive is read, then the entities, then the audit log: what is read later may know more,
never less. So a row that was archived has to be in the table, and what an entity was has to be told
by a row. What the archive or the log lacks may be young, and is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from runtime.domain.audit_chain import ChainCheck, Link, Unreadable, is_outside
from runtime.domain.images import image_hash, number_of, text_of
from runtime.domain.instants import to_instant
from runtime.gateways.verification_index import (
    IndexedEntity,
    IndexedRow,
    Place,
    VerificationIndex,
)
from runtime.models.audit import AuditRow
from runtime.repositories.audit import AuditRepository
from runtime.repositories.audited import AuditedTables
from runtime.repositories.codec import Item
from runtime.services.archive_verification import ArchiveReader, Finding
from runtime.services.audit_rows import AUDITED, entity_of

SCAN_SEGMENTS: Final = 8
"""Parts of a table read side by side: reading waits for DynamoDB, hashing for one processor."""
MAX_SUSPECTS: Final = 10_000
"""Entities that are looked at again; were there more, the projection would stand still."""
LOOK_AGAIN_SECONDS: Final = 2.0


class Phase(StrEnum):
    """What is read, in this order."""

    ARCHIVE = "archive"
    ENTITIES = "entities"
    ROWS = "rows"
    CHAINS = "chains"


@dataclass(frozen=True)
class VerificationDesk:
    """What a verification works with.

    `grace`: so long after the change a row may be missing in the archive. `patience_seconds`: so
    long what may be young is looked at again. `only`: one entity instead of all.
    """

    audit: AuditRepository
    tables: AuditedTables
    reader: ArchiveReader
    index: VerificationIndex
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    grace: timedelta
    patience_seconds: float
    only: str | None = None
    progress: Callable[[Phase, int], None] = lambda _phase, _count: None


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What was looked at, and all that is wrong, in a fixed order: the first link of each chain."""

    rows: int
    entities: int
    chains: int
    segments: int
    archived: int
    roots: int
    young: int
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


@dataclass
class _Look:
    """What a look at one entity found: what is wrong for good, and what may only be young."""

    bad: Finding | None = None
    unarchived: Finding | None = None
    unarchived_at: str = ""
    untold: str | None = None
    length: int = 0
    last: IndexedRow | None = None
    version: int | None = None
    young: bool = False

    @property
    def is_suspect(self) -> bool:
        return self.unarchived is not None or self.untold is not None


def verify(desk: VerificationDesk) -> VerificationReport:
    """Verify everything, or one entity with the whole archive."""
    began = desk.clock()
    desk.reader.read_segments()
    roots = desk.reader.check_roots(began)
    _read_tables(desk)
    findings = list(desk.reader.findings)
    suspects: dict[str, _Look] = {}
    chains = 0
    for entity_id, item, places in desk.index.evidence(desk.only):
        look = _look(entity_id, item, places)
        chains += 1
        desk.progress(Phase.CHAINS, 1)
        if look.bad is not None:
            findings.append(look.bad)
        elif look.is_suspect and len(suspects) < MAX_SUSPECTS:
            suspects[entity_id] = look
        elif look.is_suspect:
            findings += _final(entity_id, look, began - desk.grace)
    if suspects:
        known = len(desk.reader.findings)
        findings += _look_again(suspects, began, desk)
        findings += desk.reader.findings[known:]
    counts = desk.index.counts()
    return VerificationReport(
        rows=counts["rows"],
        entities=counts["entities"],
        chains=chains,
        segments=counts["segments"],
        archived=counts["archived"],
        roots=roots,
        young=sum(look.young for look in suspects.values()),
        findings=tuple(sorted(set(findings))),
    )


# -------------------------------------------------------------------- reading


def _read_tables(desk: VerificationDesk) -> None:
    if desk.only is not None:
        _read_entity(desk.only, desk)
        return
    for _, model in AUDITED.values():

        def read_entities(segment: int, model: type = model) -> None:
            for items in desk.tables.items(model, segment, SCAN_SEGMENTS):
                desk.index.add_entities(map(_entity, items))
                desk.progress(Phase.ENTITIES, len(items))

        _in_parallel(read_entities)

    def read_rows(segment: int) -> None:
        for items in desk.tables.items(AuditRow, segment, SCAN_SEGMENTS):
            desk.index.add_rows([_indexed(item, desk.audit) for item in items])
            desk.progress(Phase.ROWS, len(items))

    _in_parallel(read_rows)


def _in_parallel(read: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(SCAN_SEGMENTS) as pool:
        list(pool.map(read, range(SCAN_SEGMENTS)))


def _read_entity(entity_id: str, desk: VerificationDesk) -> None:
    """Read an entity, and then its rows, anew."""
    desk.index.forget(entity_id)
    for _, model in AUDITED.values():
        item = desk.tables.item(model, entity_id)
        if item is not None:
            desk.index.add_entities([_entity(item)])
    rows = desk.audit.chain(entity_id)
    desk.index.add_rows(_indexed_row(entity_id, row) for row in rows)


def _entity(item: Item) -> IndexedEntity:
    return IndexedEntity(entity_of(item), number_of(item, "version") or 0, image_hash(item))


def _indexed(item: Item, audit: AuditRepository) -> IndexedRow:
    return _indexed_row(text_of(item, "entity_id"), audit.read(item))


def _indexed_row(entity_id: str, row: AuditRow | Unreadable) -> IndexedRow:
    if isinstance(row, Unreadable):
        return IndexedRow(entity_id, row.sequence, 0, "", None, False, "", "")
    link = Link.of(row)
    return IndexedRow(
        entity_id,
        row.sequence,
        row.version,
        row.prev_hash,
        row.hash,
        link.holds,
        row.image_hash,
        row.timestamp,
    )


# -------------------------------------------------------------------- judging


def _look(entity_id: str, item: IndexedEntity | None, places: Iterator[Place]) -> _Look:
    """Follow one chain to its end, or to the first link that does not hold."""
    look, check = _Look(version=None if item is None else item.version), ChainCheck()
    told = newer = False
    for place in places:
        look.length += 1
        reason = _fault(place, check)
        if reason is not None:
            look.bad = look.bad or Finding(entity_id, look.length, place.sequence, reason)
            continue
        assert place.row is not None, "a row that is missing is a fault"
        if not place.archived and look.unarchived is None:
            reason = f"it is of {place.row.timestamp}, and the archive does not have it"
            look.unarchived = Finding(entity_id, look.length, place.sequence, reason)
            look.unarchived_at = place.row.timestamp
        look.last = place.row
        if item is not None and _tells(place.row, item):
            told, newer = True, False
        elif not is_outside(place.sequence):
            newer = True
    look.untold = _untold(item, look, told=told, newer=newer)
    return look


def _fault(place: Place, check: ChainCheck) -> str | None:
    """Why this place of the chain does not hold, or None."""
    row = place.row
    if row is None:
        return "it was archived, and is not in the table: it was deleted"
    if len(place.archived) > 1:
        return f"it was archived with {len(place.archived)} contents: somebody put it again"
    link: Link | Unreadable = Unreadable(place.sequence)
    if row.hash is not None:
        link = Link(place.sequence, row.version, row.prev_hash, row.hash, row.holds)
    broken = check.look_at(link)
    if broken is not None:
        return broken.reason
    if place.archived and row.hash != place.archived[0]:
        return "it is not the row that was archived: it was changed and hashed again"
    return None


def _tells(row: IndexedRow, item: IndexedEntity) -> bool:
    return (row.version, row.image_hash) == (item.version, item.image_hash)


def _untold(item: IndexedEntity | None, look: _Look, *, told: bool, newer: bool) -> str | None:
    """Why the newest row does not tell what the entity is."""
    if look.last is None:
        return None if item is None else "no row tells that it exists"
    if item is None:
        return "it is gone, and no row tells who deleted it" if look.last.image_hash else None
    if not told:
        return f"it is of version {item.version}, and no row tells it as it is: it was changed"
    if newer:
        return f"it is of version {item.version}, and later rows tell otherwise: it was put back"
    return None


def _look_again(
    suspects: dict[str, _Look], began: datetime, desk: VerificationDesk
) -> list[Finding]:
    """Read what may be young until it has come, or patience ends; what is wrong then."""
    findings: list[Finding] = []
    waiting = dict(suspects)
    waited = 0.0
    while waiting and waited < desk.patience_seconds:
        desk.sleep(LOOK_AGAIN_SECONDS)
        waited += LOOK_AGAIN_SECONDS
        desk.reader.read_segments()
        for entity_id, before in list(waiting.items()):
            _read_entity(entity_id, desk)
            look = _look_at(entity_id, desk)
            moved = look.version is not None and look.version != before.version
            if look.bad is not None:
                findings.append(look.bad)
            if moved and look.untold is not None and before.untold is not None:
                look.untold = None  # it changes faster than it can be looked at, and is told
            if look.bad is not None or not look.is_suspect:
                del waiting[entity_id]
            else:
                suspects[entity_id] = waiting[entity_id] = look
    for entity_id, look in waiting.items():
        findings += _final(entity_id, look, began - desk.grace)
    return findings


def _look_at(entity_id: str, desk: VerificationDesk) -> _Look:
    for entity, item, places in desk.index.evidence(entity_id):
        return _look(entity, item, places)
    return _Look()


def _final(entity_id: str, look: _Look, oldest_young: datetime) -> list[Finding]:
    """What of a suspect is wrong after all: the first of it."""
    if look.unarchived is not None:
        if look.unarchived_at < to_instant(oldest_young):
            return [look.unarchived]
        look.young = True
    if look.untold is not None:
        sequence = "" if look.last is None else look.last.sequence
        return [Finding(entity_id, look.length, sequence, look.untold)]
    return []
