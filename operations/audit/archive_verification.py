"""Verifies that the audit archive is complete: segments, roots, and which root covers what."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby, islice
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import ValidationError

from operations.audit.verification_db import ArchivedRow, VerificationDatabase
from runtime.audit.archive.bucket import AuditArchive, ObjectVersion
from runtime.audit.archive.rules import (
    LATE_DAYS,
    MAX_SEGMENTS_PER_ROOT,
    NO_ROOT,
    RootStatement,
    SignedRoot,
    day_prefix,
    fault_of_names,
    read_segment_name,
    root_number,
)
from runtime.audit.models import ROOT_MINUTES, ROOTS_PREFIX, ROWS_PREFIX
from runtime.core.ids import created_at
from runtime.core.outside import Threads
from runtime.core.timestamps import to_datetime
from runtime.reconciliation.settlements.models import SETTLEMENT_PREFIX

PARALLEL_READS: Final = 8
READ_AHEAD: Final = 64
"""Segments in memory at once, of at most 6 MB each."""
WRITING: Final = timedelta(minutes=5)
"""A segment written during a root's run may be covered by the next one."""
_CLOCKS: Final = timedelta(days=1)
"""The largest difference between two clocks."""
ROOT_OVERDUE: Final = 2 * timedelta(minutes=ROOT_MINUTES) + timedelta(hours=2)
"""One run may fail; the next one gets this time."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """An error and its place: an entity's row with its position from 1, or an object (0)."""

    subject: str
    position: int
    sequence: str
    reason: str


@dataclass(frozen=True)
class ArchiveReader:
    """Reads the archive into an index. `only`: the rows of one entity, from segments of its time.

    Only the names of other days' segments are read, which is enough for the roots.
    """

    archive: AuditArchive
    index: VerificationDatabase
    public_key: bytes
    threads: Callable[[int], Threads]
    progress: Callable[[int], None] = lambda _: None
    only: str | None = None
    findings: list[Finding] = field(default_factory=list)

    def read_archive(self, now: datetime) -> int:
        """Read the first version of every segment, and verify every root.

        Returns the number of roots. They are listed before the segments: the archive may be closed
        while it is read, and what a root covers exists before the root.
        """
        roots = list(self._objects(ROOTS_PREFIX))
        self._read_new(self._objects(ROWS_PREFIX), self._first_day(now))
        self._check_roots(roots, now)
        return len(roots)

    def read_newest(self, since: datetime, now: datetime) -> None:
        """Read the segments that have arrived since: their names contain no earlier day."""
        day = since.date() - timedelta(days=LATE_DAYS)
        while day <= now.date() + _CLOCKS:
            self._read_new(self._objects(day_prefix(day)), day)
            day += timedelta(days=1)

    def _read_new(self, objects: Iterable[ObjectVersion], first_day: date) -> None:
        versions = self._new_segments(objects, first_day)
        with self.threads(PARALLEL_READS) as pool:
            while batch := list(islice(versions, READ_AHEAD)):
                for rows, found in pool.map(self._read, batch):
                    self.index.add_archived(rows)
                    self.findings.extend(found)
                    self.progress(len(rows))

    def _new_segments(
        self, objects: Iterable[ObjectVersion], first_day: date
    ) -> Iterator[ObjectVersion]:
        """New segments with requested rows."""
        for first in objects:
            segment = read_segment_name(first.key)
            if segment is None:
                self._find(first.key, "its name is not that of a segment")
            elif self.index.add_segment(first.key, first.written_at) and segment.day >= first_day:
                yield first

    def _first_day(self, now: datetime) -> date:
        """No earlier segment has rows of the requested entity: its id contains its creation time.

        Settlements are named after the content of their files.
        """
        identifier = (self.only or "").partition("#")[0]
        if self.only is None or identifier.startswith(SETTLEMENT_PREFIX):
            return date.min
        try:
            began = created_at(identifier)
        except ValueError:
            return date.min
        return date.min if began > now else began.date() - _CLOCKS

    def _check_roots(self, roots: Sequence[ObjectVersion], now: datetime) -> None:
        public = load_der_public_key(self.public_key)
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise TypeError("the roots' public key is not an elliptic curve key")
        previous: RootStatement | None = None
        for number, first in enumerate(roots, start=1):
            root = self._root(first)
            if root is None:
                continue
            reason = _fault_of_root(root, first.key, previous, number, public)
            if reason is not None:
                self._find(first.key, reason)
            previous = root.statement
            for name in self.index.cover(root.names, root.statement.number):
                self._find(name, f"root {root.statement.number} covers it, but it is missing")
        self._check_uncovered(previous, now)

    def _objects(self, prefix: str) -> Iterator[ObjectVersion]:
        """The first version of every object. What was put or hidden later changes nothing."""
        for key, versions in groupby(self.archive.versions(prefix), key=lambda v: v.key):
            every = list(versions)[::-1]  # timestamps are whole seconds: the order matters too
            written = sorted((v for v in every if not v.is_marker), key=lambda v: v.written_at)
            if len(every) > 1:
                self._find(key, f"it was overwritten or hidden {len(every) - 1} times")
            if written:
                yield written[0]

    def _read(self, version: ObjectVersion) -> tuple[list[ArchivedRow], list[Finding]]:
        named = read_segment_name(version.key)
        assert named is not None, version.key
        body = self.archive.content(version.key, version.version_id)
        lines = body.splitlines()
        findings = []
        if hashlib.sha256(body).hexdigest() != named.sha256 or len(lines) != named.rows:
            findings.append(Finding(version.key, 0, "", "its content does not match its name"))
        rows = []
        for number, line in enumerate(lines, start=1):
            row = _archived(line)
            if row is None:
                reason = "the inserted row is not an audit row"
                findings.append(Finding(version.key, number, "", reason))
            elif self.only in (None, row.entity_id):
                rows.append(row)
        return rows, findings

    def _root(self, version: ObjectVersion) -> SignedRoot | None:
        try:
            return SignedRoot.model_validate_json(
                self.archive.content(version.key, version.version_id)
            )
        except ValidationError:
            self._find(version.key, "it is not a signed root")
            return None

    def _check_uncovered(self, last: RootStatement | None, now: datetime) -> None:
        # A full root may have left some segments for the next one.
        full = last is not None and last.segments >= MAX_SEGMENTS_PER_ROOT
        closed = None if last is None or full else to_datetime(last.closed_at) - WRITING
        for name, written_at in self.index.uncovered():
            if closed is not None and written_at < closed:
                self._find(name, "no root covers it, although later ones were signed")
            elif written_at < now - ROOT_OVERDUE:
                self._find(name, "no root has been signed since it was written")

    def _find(self, subject: str, reason: str) -> None:
        self.findings.append(Finding(subject, 0, "", reason))


def _fault_of_root(
    root: SignedRoot,
    name: str,
    previous: RootStatement | None,
    expected: int,
    public: ec.EllipticCurvePublicKey,
) -> str | None:
    statement = root.statement
    if statement.number != expected or root_number(name) != expected:
        return f"it is root {statement.number} but root {expected} was expected"
    if statement.previous != (NO_ROOT if previous is None else previous.hash):
        return "it does not follow the root before it"
    try:
        signature = base64.b64decode(root.signature)
        public.verify(signature, statement.signed_bytes(), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return "its signature was not made with the archive's key"
    return fault_of_names(root)


def _archived(line: bytes) -> ArchivedRow | None:
    try:
        row: Any = json.loads(line)
        return ArchivedRow(str(row["entity_id"]), str(row["sequence"]), str(row["hash"]))
    except (ValueError, KeyError, TypeError):
        return None
