"""The changed rows, from the archive of the audit log.

Every change of an account, transfer, payment, transaction or settlement becomes an audit row, and
every audit row is archived within about a minute, in objects that are never changed. An incremental
run therefore finds what is new by the time at which objects were written, without an index and
without a scan. The objects only name rows; what is verified is read from the tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

from pydantic import BaseModel, Field, ValidationError

from runtime.audit.actions import OUT_OF_BAND_ACTION
from runtime.audit.archive.bucket import AuditArchive
from runtime.audit.archive.rules import LATE_DAYS, day_prefix, read_segment_name
from runtime.audit.chain import is_outside
from runtime.audit.models import ROWS_PREFIX
from runtime.core.fields import Timestamp
from runtime.core.timestamps import to_datetime

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far the clock of S3 may be behind those of the functions: far more than it is."""


class ArchivedChange(BaseModel, frozen=True):
    """The part of an audit row that names the rows a change concerns."""

    entity_id: str
    sequence: str
    action: str = ""
    entity_type: str
    timestamp: str
    old_values: Mapping[str, Any] = Field(default_factory=dict)
    new_values: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def is_of_new_row(self) -> bool:
        """Whether the row was added: then all of its values are new values."""
        return "created_at" in self.new_values and not self.old_values

    @property
    def is_irregular(self) -> bool:
        """Whether the change was made outside the application, or recorded out of order.

        An out-of-band change that begins a chain has the sequence of a first version.
        """
        return is_outside(self.sequence) or self.action == OUT_OF_BAND_ACTION


class ChangeFeed(Protocol):
    """Names objects with changed rows, and reads them."""

    def names(self, since: Timestamp) -> Iterator[str]:
        """Names of all objects that may have changes after `since`, sorted."""
        ...

    def changes(self, name: str) -> list[ArchivedChange]:
        """The changes in one object."""
        ...


class ArchiveFeed:
    """The changes in the bucket of the audit archive."""

    def __init__(self, archive: AuditArchive) -> None:
        self._archive = archive

    def names(self, since: Timestamp) -> Iterator[str]:
        """Names of the segments written after `since`, sorted.

        A segment is written after its changes, so changes that reach the archive late are included
        whatever their own time is.
        """
        written_from = to_datetime(since) - CLOCK_SKEW
        first_day = written_from.date() - timedelta(days=LATE_DAYS)
        for name in self._archive.names(ROWS_PREFIX, day_prefix(first_day), written_from):
            if read_segment_name(name) is not None:
                yield name

    def changes(self, name: str) -> list[ArchivedChange]:
        """The changes in one segment.

        A line that is not an audit row is skipped: the function that archived it raised an alarm.
        """
        found = []
        for line in self._archive.content(name).splitlines():
            try:
                found.append(ArchivedChange.model_validate(json.loads(line)))
            except ValidationError:
                continue
        return found
