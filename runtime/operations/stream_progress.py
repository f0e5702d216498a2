"""Notes how far the consumers of change streams have come, at the end of their batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from runtime.core.observability import logger
from runtime.core.timestamps import to_timestamp
from runtime.operations.models import StreamProgress
from runtime.operations.repository import StreamProgressRepository
from runtime.streams.records import REDRIVEN, Failed, StreamRecord

NOTED_EVERY: Final = timedelta(seconds=10)
"""Each execution environment notes the good batches of a consumer at most this often."""
MAX_FAILED: Final = 100
"""Failed records of a consumer that an environment remembers, and then forgets together: of those
that are given up it does not hear again."""
PROGRESS_NOT_NOTED: Final = "stream progress not noted"
"""Log message of a batch that did its work, but could not say so."""


def progress_of(
    name: str, records: Sequence[StreamRecord], failed: Failed, now: datetime
) -> StreamProgress:
    """What to note about a batch of the stream `name` that has just ended."""
    first_failed = next((each for each in records if each.sequence_number in failed), None)
    oldest = first_failed or min(records, key=lambda record: record.arrived_at)
    return StreamProgress(
        name=name,
        noted_at=to_timestamp(now),
        record_at=to_timestamp(oldest.arrived_at),
        failed_record=None if first_failed is None else first_failed.sequence_number,
    )


@dataclass(slots=True)
class _Notes:
    """When a consumer's last note was made, and the failed records that were noted."""

    made_at: datetime
    failed: set[str] = field(default_factory=set)

    def follow(self, begins_with: str, progress: StreamProgress) -> None:
        self.failed.discard(begins_with)
        if progress.failed_record is not None:
            if len(self.failed) == MAX_FAILED:
                self.failed.clear()
            self.failed.add(progress.failed_record)


class ProgressNotes:
    """The notes of one execution environment.

    A failed batch is noted at once, and so is its retry, which begins with its first failed record.
    Another environment does not know of the failure: if it processes the retry, and has noted a
    batch less than NOTED_EVERY before, the failure stays until a later batch is noted.
    """

    def __init__(
        self, rows: Callable[[], StreamProgressRepository], now: Callable[[], datetime]
    ) -> None:
        self._rows, self._now = rows, now
        self._notes: dict[str, _Notes] = {}

    def noted(
        self,
        event: Mapping[str, Any],
        records: Sequence[StreamRecord],
        work: Callable[[Sequence[StreamRecord]], Failed],
    ) -> Failed:
        """Do `work` on the records of an event, note how far it came, and return what failed.

        A redrive is not noted. If the work raises, all of the batch counts as failed, because
        Lambda repeats all of it.
        """
        if REDRIVEN in event:
            return work(records)
        try:
            failed = work(records)
        except Exception:
            self._note(records, frozenset(record.sequence_number for record in records))
            raise
        self._note(records, failed)
        return failed

    def _note(self, records: Sequence[StreamRecord], failed: Failed) -> None:
        by_table: dict[str, list[StreamRecord]] = {}
        for record in records:
            by_table.setdefault(record.table, []).append(record)
        now = self._now()
        for table, given in by_table.items():
            begins_with = given[0].sequence_number
            last = self._notes.get(table)
            if _is_due(last, begins_with, given, failed, now):
                notes = self._notes.setdefault(table, _Notes(now))
                notes.made_at = (
                    now  # a table that does not answer slows no more than one batch in ten seconds
                )
                progress = self._written(table, given, failed, now)
                if progress is not None:
                    notes.follow(begins_with, progress)

    def _written(
        self, table: str, records: Sequence[StreamRecord], failed: Failed, now: datetime
    ) -> StreamProgress | None:
        """The progress that was noted; None if it could not be."""
        try:
            progress = progress_of(table, records, failed, now)
            self._rows().note(progress, records[0].sequence_number)
        except Exception:  # noqa: BLE001 - what the batch did is done, whatever becomes of its row
            logger.warning(PROGRESS_NOT_NOTED, stream=table, exc_info=True)
            return None
        return progress


def _is_due(
    last: _Notes | None,
    begins_with: str,
    records: Sequence[StreamRecord],
    failed: Failed,
    now: datetime,
) -> bool:
    """Whether the batch is noted: most are not, and cost nothing more than this."""
    if last is None or begins_with in last.failed:
        return True
    if failed and any(record.sequence_number in failed for record in records):
        return True
    return not timedelta(0) <= now - last.made_at < NOTED_EVERY
