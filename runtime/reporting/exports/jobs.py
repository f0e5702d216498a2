"""The steps of an export's row: leased by a worker, advanced, completed, failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from runtime.core.change_context import ChangeContext
from runtime.core.errors import Unavailable
from runtime.core.outside import Outside
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.reporting.exports.models import Export, ExportStatus
from runtime.reporting.exports.repository import ExportRepository

EXPORTER: Final = "system:export"
KEPT: Final = timedelta(days=7)
"""How long a completed export is kept: the bucket deletes its object then (stacks/data.py)."""
FINAL: Final = frozenset({ExportStatus.COMPLETED, ExportStatus.FAILED})
LEASE_MARGIN: Final = timedelta(seconds=5)


class ExportBusy(Unavailable):
    """Another worker has the job; the message is retried in case that one dies."""


@dataclass(frozen=True)
class Jobs:
    """Dependencies of steps. `remaining_seconds`: the maximum remaining time of the worker."""

    exports: ExportRepository
    outside: Outside
    remaining_seconds: Callable[[], float]

    def take(self, export: Export, worker: str) -> Export:
        """Lease the job until this invocation's end. Raises ExportBusy, StaleWrite.

        The part that the previous worker may still be sending has a number that is not used again.
        """
        now = self.outside.now()
        if export.lease_expires_at is not None and export.lease_expires_at > to_timestamp(now):
            raise ExportBusy(f"export {export.id} is being written until {export.lease_expires_at}")
        lease = timedelta(seconds=self.remaining_seconds()) + LEASE_MARGIN
        return self.step(
            export,
            status=ExportStatus.RUNNING,
            open_status=open_status(export.merchant_id, ExportStatus.RUNNING),
            lease_owner=worker,
            lease_expires_at=to_timestamp(now + lease),
            next_part=export.next_part + (export.lease_owner is not None),
            tries=export.tries + 1,
        )

    def step(self, export: Export, **changes: Any) -> Export:
        """The job with these changes, stored. Raises StaleWrite if it is not ours any more."""
        now = self.outside.now()
        operation = self.outside.new_id("exw", now)
        context = ChangeContext(changed_by=EXPORTER, request_id=operation, cause=operation)
        after = export.next_version(to_timestamp(now), changes, context)
        self.exports.advance(export, after, token=operation)
        return after

    def release(self, export: Export, **changes: Any) -> Export:
        """As `step`, and the next worker may start at once."""
        return self.step(export, **changes, lease_owner=None, lease_expires_at=None)

    def complete(self, export: Export, size: int, sha256: str) -> Export:
        """The object exists, with this many bytes and this digest."""
        now = self.outside.now()
        return self.release(
            export,
            status=ExportStatus.COMPLETED,
            open_status=None,
            rows=export.rows_done,
            size=size,
            sha256=sha256,
            completed_at=to_timestamp(now),
            expires_at=to_epoch_seconds(now + KEPT),
            tries=0,
        )

    def fail(self, export: Export, reason: str) -> Export:
        """End an export that cannot be made; `reason` is shown in it."""
        return self.release(
            export, status=ExportStatus.FAILED, open_status=None, failure_reason=reason
        )


def open_status(owner: str, status: ExportStatus) -> str:
    """The key of an owner's open exports of one status in `gsi-status`."""
    return f"{owner}#{status}"
