"""Everything that a verification has read, in a temporary SQLite file: millions of rows.

A scan gives rows in the order of their hashes, the archive in that of their arrival; to compare
them, and to follow a chain, they have to be in the order of entity and sequence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Final

CACHE_KIB: Final = 65_536
"""Of pages in memory; everything else is in the file."""

_TABLES: Final = """
CREATE TABLE rows (entity TEXT, sequence TEXT, version INTEGER, prev TEXT, hash TEXT,
    holds INTEGER, image TEXT, at TEXT, action TEXT, alert TEXT,
    PRIMARY KEY (entity, sequence)) WITHOUT ROWID;
CREATE TABLE archived (entity TEXT, sequence TEXT, hash TEXT,
    PRIMARY KEY (entity, sequence, hash)) WITHOUT ROWID;
CREATE TABLE entities (entity TEXT PRIMARY KEY, version INTEGER, image TEXT) WITHOUT ROWID;
CREATE TABLE segments (name TEXT PRIMARY KEY, written_at REAL, root INTEGER) WITHOUT ROWID;
CREATE TABLE suspects (entity TEXT PRIMARY KEY, version INTEGER, image TEXT) WITHOUT ROWID;
"""
_EVIDENCE: Final = """
SELECT entity, sequence, 0 AS kind, version, prev, hash, holds, image, at, action, alert
    FROM rows {where}
UNION ALL
SELECT entity, sequence, 1, 0, '', hash, 0, '', '', '', '' FROM archived {where}
UNION ALL
SELECT entity, '', 2, version, '', '', 0, image, '', '', '' FROM entities {where}
ORDER BY 1, 2, 3, 6
"""
_ARCHIVED, _ENTITY = 1, 2


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """A row of the audit table; `hash` is None for an item that is not a valid audit row any more.

    `alert_id`: for an out-of-band change, the alert that was raised about it.
    """

    entity_id: str
    sequence: str
    version: int
    prev_hash: str
    hash: str | None
    holds: bool
    image_hash: str
    timestamp: str
    action: str = ""
    alert_id: str = ""


@dataclass(frozen=True, slots=True)
class ArchivedRow:
    """A row of a segment."""

    entity_id: str
    sequence: str
    hash: str


@dataclass(frozen=True, slots=True)
class IndexedEntity:
    """An item of an audited table."""

    entity_id: str
    version: int
    image_hash: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """An entity to check again; `before`: its state when no audit row recorded it."""

    entity_id: str
    before: IndexedEntity | None


@dataclass(frozen=True, slots=True)
class ChainEntry:
    """One place in a chain: the row in the table, and the hashes under which it was archived."""

    sequence: str
    row: IndexedRow | None
    archived: tuple[str, ...]


class VerificationDatabase:
    """A SQLite file; several threads may add to it. It is deleted after the verification.

    `lock` serializes their statements.
    """

    def __init__(self, file: Path, lock: AbstractContextManager[Any]) -> None:
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._lock = lock
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add_rows(self, rows: Iterable[IndexedRow]) -> None:
        """Rows of the audit table; a row that is read again replaces the first one."""
        self._add(
            "rows",
            (
                (
                    row.entity_id,
                    row.sequence,
                    row.version,
                    row.prev_hash,
                    row.hash,
                    row.holds,
                    row.image_hash,
                    row.timestamp,
                    row.action,
                    row.alert_id,
                )
                for row in rows
            ),
        )

    def add_archived(self, rows: Iterable[ArchivedRow]) -> None:
        """Rows of segments; the same one may be in several."""
        self._add("archived", ((row.entity_id, row.sequence, row.hash) for row in rows))

    def add_entities(self, entities: Iterable[IndexedEntity]) -> None:
        """Items of audited tables."""
        self._add("entities", ((e.entity_id, e.version, e.image_hash) for e in entities))

    def add_segment(self, name: str, written_at: datetime) -> bool:
        """A segment's name; whether it is new."""
        with self._lock:
            added = self._database.execute(
                "INSERT OR IGNORE INTO segments VALUES (?, ?, NULL)", (name, written_at.timestamp())
            )
            return added.rowcount > 0

    def cover(self, names: Iterable[str], root: int) -> list[str]:
        """Record that a root covers these segments; returns the missing ones."""
        missing = []
        with self._lock:
            for name in names:
                covered = self._database.execute(
                    "UPDATE segments SET root = ? WHERE name = ?", (root, name)
                )
                if covered.rowcount == 0:
                    missing.append(name)
        return missing

    def uncovered(self) -> Iterator[tuple[str, datetime]]:
        """Segments that no root covers, and when they were written, by name."""
        found = self._database.execute(
            "SELECT name, written_at FROM segments WHERE root IS NULL ORDER BY name"
        )
        for name, written_at in found:
            yield name, datetime.fromtimestamp(written_at).astimezone()

    def suspect(self, suspect: Suspect) -> None:
        """Record a suspect, also while `evidence` is being read."""
        before = suspect.before
        version_and_hash = (None, None) if before is None else (before.version, before.image_hash)
        self._add("suspects", [(suspect.entity_id, *version_and_hash)])

    def clear(self, suspect: Suspect) -> None:
        """Remove a suspect."""
        with self._lock:
            self._database.execute("DELETE FROM suspects WHERE entity = ?", (suspect.entity_id,))

    def suspects(self, after: str, limit: int) -> list[Suspect]:
        """The first suspects behind an entity's id, in the order of ids."""
        found = self._database.execute(
            "SELECT entity, version, image FROM suspects WHERE entity > ? ORDER BY entity LIMIT ?",
            (after, limit),
        )
        return [
            Suspect(entity, None if version is None else IndexedEntity(entity, version, image))
            for entity, version, image in found
        ]

    def forget(self, entity_id: str) -> None:
        """Remove what was read about an entity, to read it again."""
        with self._lock:
            self._database.execute("DELETE FROM rows WHERE entity = ?", (entity_id,))
            self._database.execute("DELETE FROM entities WHERE entity = ?", (entity_id,))

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        return {
            name: self._database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for name in ("rows", "archived", "entities", "segments")
        }

    def evidence(
        self, entity_id: str | None = None
    ) -> Iterator[tuple[str, IndexedEntity | None, Iterator[ChainEntry]]]:
        """Entity by entity: the item, and the places of its chain, in order; or of one alone.

        The places of one entity must be read before the next is asked for.
        """
        where = "" if entity_id is None else "WHERE entity = ?"
        parameters = () if entity_id is None else (entity_id,) * 3
        found = self._database.execute(_EVIDENCE.format(where=where), parameters)
        for entity, lines in groupby(found, key=lambda line: line[0]):
            item, places = _parted(entity, lines)
            yield entity, item, places

    def _add(self, table: str, values: Iterable[Sequence[Any]]) -> None:
        made = list(values)
        if not made:
            return
        marks = ", ".join("?" * len(made[0]))
        with self._lock:
            self._database.execute("BEGIN")
            self._database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", made)  # noqa: S608
            self._database.execute("COMMIT")


def _parted(entity: str, lines: Iterator[Any]) -> tuple[IndexedEntity | None, Iterator[ChainEntry]]:
    """The item, which comes first if there is one, and the places of the chain."""
    first = next(lines)
    if first[2] == _ENTITY:
        return IndexedEntity(entity, first[3], first[7]), _places(lines)
    return None, _places(chain([first], lines))


def _places(lines: Iterator[Any]) -> Iterator[ChainEntry]:
    for sequence, together in groupby(lines, key=lambda line: line[1]):
        row: IndexedRow | None = None
        archived = []
        for entity, _, kind, version, prev, hash_, holds, *rest in together:
            if kind == _ARCHIVED:
                archived.append(hash_)
            else:
                row = IndexedRow(entity, sequence, version, prev, hash_, bool(holds), *rest)
        yield ChainEntry(sequence, row, tuple(archived))
