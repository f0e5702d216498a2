"""Verifies the whole audit log: its chains, its archive, and the entities that it covers.

Read in this order: archive, entities, audit log, alerts. A later read can only be more recent. So
every archived row must be in the table, every version of an entity must have an audit row, and
every row of an out-of-band change must have an alert. What the archive or the log lacks may be
recent, and is checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from operations.audit.archive_verification import ArchiveReader, Finding
from operations.audit.audited_tables import AuditedTables
from operations.audit.chain_verifier import ChainView, unheard, view_chain
from operations.audit.verification_db import (
    IndexedEntity,
    IndexedRow,
    Suspect,
    VerificationDatabase,
)
from runtime.alerts.raising import alert_of
from runtime.alerts.repository import AlertRepository
from runtime.audit.actions import OUT_OF_BAND_ACTION
from runtime.audit.chain import Link, Unreadable
from runtime.audit.models import AuditRow
from runtime.audit.projection.rows import AUDITED, entity_of, out_of_band_alert
from runtime.audit.repository import AuditRepository
from runtime.core.fields import Timestamp
from runtime.core.outside import Outside
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.codec import Item
from runtime.streams.images import image_hash, number_of, text_of

SCAN_SEGMENTS: Final = 8
"""Parts of a table read in parallel: reading waits for DynamoDB, hashing for one processor."""
LOOKED_AT_TOGETHER: Final = 64
"""Suspects whose rows are in memory at once."""
LOOK_AGAIN_SECONDS: Final = 2.0


class Phase(StrEnum):
    """The phases, in order."""

    ARCHIVE = "archive"
    ENTITIES = "entities"
    ROWS = "rows"
    CHAINS = "chains"


@dataclass(frozen=True)
class AuditVerificationDependencies:
    """Dependencies of a verification.

    `grace`: how long after the change a row may be missing in the archive. `patience_seconds`: how
    long recent suspects are checked again, at least once. `only`: one entity, not all.
    """

    audit: AuditRepository
    alerts: AlertRepository
    tables: AuditedTables
    reader: ArchiveReader
    index: VerificationDatabase
    outside: Outside
    grace: timedelta
    patience_seconds: float
    only: str | None = None
    progress: Callable[[Phase, int], None] = lambda _phase, _count: None


@dataclass(frozen=True, slots=True)
class AuditVerificationReport:
    """What was checked, and all errors in a fixed order: the first link of each chain."""

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
        """Whether no errors were found."""
        return not self.findings


def verify(deps: AuditVerificationDependencies) -> AuditVerificationReport:
    """Verify everything, or one entity with its part of the archive."""
    began = deps.outside.now()
    roots = deps.reader.read_archive(began)
    _read_tables(deps)
    findings: list[Finding] = []
    chains = 0
    for entity_id, item, places in deps.index.evidence(deps.only):
        look = view_chain(entity_id, item, places)
        chains += 1
        deps.progress(Phase.CHAINS, 1)
        bad = _bad(entity_id, look, deps)
        if bad is not None:
            findings.append(bad)
        elif look.is_suspect:
            deps.index.suspect(_suspect(entity_id, look, None))
    again = _look_again(began, deps)
    counts = deps.index.counts()
    return AuditVerificationReport(
        rows=counts["rows"],
        entities=counts["entities"],
        chains=chains,
        segments=counts["segments"],
        archived=counts["archived"],
        roots=roots,
        young=again.young,
        findings=tuple(sorted({*deps.reader.findings, *findings, *again.findings})),
    )


# -------------------------------------------------------------------- reading


def _read_tables(deps: AuditVerificationDependencies) -> None:
    if deps.only is not None:
        entities, rows = _read_entity(deps.only, deps)
        deps.index.add_entities(entities)
        deps.index.add_rows(rows)
        return
    for _, model in AUDITED.values():

        def read_entities(segment: int, model: type = model) -> None:
            for items in deps.tables.items(model, segment, SCAN_SEGMENTS):
                deps.index.add_entities(map(_entity, items))
                deps.progress(Phase.ENTITIES, len(items))

        _in_parallel(read_entities, deps)

    def read_rows(segment: int) -> None:
        for items in deps.tables.items(AuditRow, segment, SCAN_SEGMENTS):
            deps.index.add_rows([_indexed(item, deps.audit) for item in items])
            deps.progress(Phase.ROWS, len(items))

    _in_parallel(read_rows, deps)


def _read_entity(
    entity_id: str, deps: AuditVerificationDependencies
) -> tuple[list[IndexedEntity], list[IndexedRow]]:
    """An entity's item, and then its rows."""
    items = [deps.tables.item(model, entity_id) for _, model in AUDITED.values()]
    rows = [_indexed_row(entity_id, row) for row in deps.audit.chain(entity_id)]
    return [_entity(item) for item in items if item is not None], rows


def _in_parallel(read: Callable[[int], None], deps: AuditVerificationDependencies) -> None:
    with deps.outside.threads(SCAN_SEGMENTS) as pool:
        list(pool.map(read, range(SCAN_SEGMENTS)))


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
        row.action,
        alert_of(out_of_band_alert(row)).id if row.action == OUT_OF_BAND_ACTION else "",
    )


# -------------------------------------------------------------------- verifying


@dataclass
class _Again:
    """The results of all checks of the suspects."""

    findings: list[Finding] = field(default_factory=list)
    young: int = 0


def _bad(entity_id: str, look: ChainView, deps: AuditVerificationDependencies) -> Finding | None:
    """The first final error."""
    if not look.outside:
        return look.bad
    raised = deps.alerts.raised(row.alert_id for row in look.outside)
    return unheard(look, entity_id, raised) or look.bad


def _suspect(entity_id: str, look: ChainView, before: IndexedEntity | None) -> Suspect:
    """Remembers the first change that no row records yet; later ones are recorded after it."""
    return Suspect(entity_id, before or (None if look.untold is None else look.item))


def _look_again(began: datetime, deps: AuditVerificationDependencies) -> _Again:
    """Check every suspect at least once, until it has cleared or the patience has ended."""
    again = _Again()
    until = deps.outside.now() + timedelta(seconds=deps.patience_seconds)
    while deps.index.suspects("", 1):
        is_last = deps.outside.now() >= until
        deps.reader.read_newest(began, deps.outside.now())
        for suspect, look in _looks(deps):
            bad = _bad(suspect.entity_id, look, deps)
            if bad is not None:
                again.findings.append(bad)
            elif look.is_suspect and is_last:
                _conclude(suspect.entity_id, look, to_timestamp(began - deps.grace), again)
            elif look.is_suspect:
                deps.index.suspect(_suspect(suspect.entity_id, look, suspect.before))
                continue
            deps.index.clear(suspect)
        if deps.index.suspects("", 1):
            deps.outside.sleep(LOOK_AGAIN_SECONDS)
    return again


def _looks(deps: AuditVerificationDependencies) -> Iterator[tuple[Suspect, ChainView]]:
    """Every suspect, read anew: the item first, and then its rows."""

    def read(suspect: Suspect) -> tuple[list[IndexedEntity], list[IndexedRow]]:
        return _read_entity(suspect.entity_id, deps)

    after = ""
    with deps.outside.threads(SCAN_SEGMENTS) as pool:
        while batch := deps.index.suspects(after, LOOKED_AT_TOGETHER):
            after = batch[-1].entity_id
            for suspect, (entities, rows) in zip(batch, pool.map(read, batch), strict=True):
                deps.index.forget(suspect.entity_id)
                deps.index.add_entities(entities)
                deps.index.add_rows(rows)
                yield suspect, _look_at(suspect, deps)


def _look_at(suspect: Suspect, deps: AuditVerificationDependencies) -> ChainView:
    for entity_id, item, places in deps.index.evidence(suspect.entity_id):
        return view_chain(entity_id, item, places, suspect.before)
    return ChainView()


def _conclude(entity_id: str, look: ChainView, oldest_young: Timestamp, again: _Again) -> None:
    """The first final error of a suspect."""
    if look.unarchived is not None and look.unarchived_at < oldest_young:
        again.findings.append(look.unarchived)
        return
    again.young += look.unarchived is not None
    if look.untold is not None:
        sequence = "" if look.last is None else look.last.sequence
        again.findings.append(Finding(entity_id, look.length, sequence, look.untold))
