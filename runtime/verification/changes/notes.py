"""Ids of changed rows, noted by one phase of a run for the phases behind it.

An id belongs to the segment that its checksum names, so each later phase reads its segment's ids
and no others, sorted and without duplicates, however often and in whatever order they were noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from zlib import crc32

from pydantic import BaseModel, Field

MAX_NOTED: Final = 5_000
"""Ids that are kept in memory before they are stored: some 20 KB per segment."""


class Subject(StrEnum):
    """What ids are noted of.

    `HOLDERS`: accounts whose open holds must be compared one by one. `ROWS`: rows of accounts that
    were changed outside the application, by the name of their checkpoints (`acc_x#00`).
    """

    ACCOUNTS = "accounts"
    HOLDERS = "holders"
    PAYMENTS = "payments"
    ROWS = "rows"
    SETTLEMENTS = "settlements"
    TRANSFERS = "transfers"


class NotedIds(BaseModel):
    """Stored ids by subject. `suspect`: those that are verified one by one, not by sums."""

    ids: dict[Subject, list[str]] = Field(default_factory=dict)
    suspect: dict[Subject, list[str]] = Field(default_factory=dict)


def segment_of(identifier: str, segments: int) -> int:
    """The segment of an id. A row of an account is in the segment of its account."""
    return crc32(identifier.partition("#")[0].encode()) % segments


@dataclass
class Notes:
    """Ids noted but not stored yet. `store` writes those of one segment."""

    segments: int
    store: Callable[[int, NotedIds], None]
    _noted: dict[Subject, dict[str, bool]] = field(default_factory=dict)
    _size: int = 0

    def note(self, subject: Subject, identifier: str, *, suspect: bool = False) -> None:
        """Note an id. Once suspect, it remains so."""
        noted = self._noted.setdefault(subject, {})
        self._size += identifier not in noted
        noted[identifier] = suspect or noted.get(identifier, False)

    @property
    def is_full(self) -> bool:
        """Whether the ids should be stored now."""
        return self._size >= MAX_NOTED

    def flush(self) -> None:
        """Store all ids."""
        by_segment: dict[int, NotedIds] = {}
        for subject, noted in self._noted.items():
            for identifier, suspect in noted.items():
                target = segment_of(identifier, self.segments)
                stored = by_segment.setdefault(target, NotedIds())
                ids = stored.suspect if suspect else stored.ids
                ids.setdefault(subject, []).append(identifier)
        for target, ids_of_segment in by_segment.items():
            self.store(target, ids_of_segment)
        self._noted, self._size = {}, 0


def merged(stored: Iterable[NotedIds]) -> Mapping[Subject, dict[str, bool]]:
    """All ids by subject, each with whether it is suspect."""
    ids: dict[Subject, dict[str, bool]] = {subject: {} for subject in Subject}
    for each in stored:
        for subject, plain in each.ids.items():
            for identifier in plain:
                ids[subject].setdefault(identifier, False)
        for subject, suspect in each.suspect.items():
            ids[subject].update(dict.fromkeys(suspect, True))
    return ids
