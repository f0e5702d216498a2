"""Common dependencies of planning, processing and closing a settlement file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from runtime.alerts.repository import AlertRepository
from runtime.core.change_context import ChangeContext
from runtime.core.fields import Timestamp
from runtime.core.outside import Outside
from runtime.core.timestamps import to_timestamp
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.reconciliation.files.bucket import SettlementObjects
from runtime.reconciliation.files.chunks_repository import SettlementChunkRepository
from runtime.reconciliation.files.models import (
    FileStatus,
    SettlementChunk,
    SettlementFile,
    merchant_status,
)
from runtime.reconciliation.files.queue import SettlementQueue
from runtime.reconciliation.importers.line import ImportedLine, UnreadableLine

RECONCILER: Final = "reconcile"
Line = ImportedLine | UnreadableLine


class NoTimeLeft(Exception):
    """A run made no progress; requesting another like it would repeat forever."""


class RecordBatch(Protocol):
    """Evaluates and commits as many of `lines`, in order, as fit into one transaction."""

    def __call__(
        self,
        lines: Sequence[Line],
        chunk: SettlementChunk,
        file: SettlementFile,
        merchant: MerchantProfile,
        context: ChangeContext,
    ) -> SettlementChunk:
        """The chunk as it was written. Raises StaleWrite if another worker has advanced it."""
        ...


@dataclass(frozen=True)
class ReconciliationDependencies:
    """`must_stop`: the invocation is about to time out."""

    objects: SettlementObjects
    queue: SettlementQueue
    chunks: SettlementChunkRepository
    merchants: MerchantProfiles
    alerts: AlertRepository
    record: RecordBatch
    must_stop: Callable[[], bool]
    outside: Outside


@dataclass(frozen=True, slots=True)
class Step:
    """One change of rows: its time, its token, and its author."""

    token: str
    at: Timestamp
    context: ChangeContext

    @classmethod
    def begin(cls, kind: str, request_id: str, outside: Outside) -> Step:
        """A new step, now. `kind` is the prefix of its token."""
        now = outside.now()
        token = outside.new_id(kind, now)
        return cls(token, to_timestamp(now), ChangeContext(RECONCILER, request_id, token))


def stepped(
    file: SettlementFile, step: Step, status: FileStatus | None = None, **changes: object
) -> SettlementFile:
    """The file after a step. A new status moves it in the list by status."""
    status = status or file.status
    listed = {"status": status, "merchant_status": merchant_status(file.merchant_id, status)}
    return file.next_version(step.at, {**changes, **listed}, step.context)


def is_final(file: SettlementFile) -> bool:
    """Whether nothing is left to do."""
    return file.status not in (FileStatus.RECEIVED, FileStatus.PROCESSING)
