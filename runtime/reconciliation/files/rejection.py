"""Objects that are not settlement files: recorded with a reason, alerted, and moved away."""

from __future__ import annotations

import hashlib
from typing import Final

from runtime.alerts.models import AlertFacts, AlertType, Window
from runtime.alerts.raising import raise_alert
from runtime.core.echo import echoed_path, safe
from runtime.core.errors import StaleWrite
from runtime.core.fields import PLATFORM
from runtime.core.observability import logger
from runtime.core.timestamps import to_timestamp
from runtime.reconciliation.dependencies import ReconciliationDependencies, Step, stepped
from runtime.reconciliation.files.bucket import StoredObject
from runtime.reconciliation.files.models import REJECTED_PREFIX, FileStatus, SettlementFile
from runtime.reconciliation.settlements.models import (
    SETTLEMENT_PREFIX,
    Settlement,
    SettlementStatus,
)

MAX_KEY_BYTES: Final = 1024
"""Of an object's key, in UTF-8 (S3 User Guide, "Naming Amazon S3 objects")."""
_DAY: Final = len("YYYY-MM-DD")


class Rejection(Exception):
    """An object is not a settlement file; `reason` says why, and what to do about it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = safe(reason)


def reject(
    file: SettlementFile,
    stored: StoredObject,
    reason: str,
    request_id: str,
    dependencies: ReconciliationDependencies,
) -> None:
    """Record a rejection and move the object away. Nothing of it was booked.

    Every part can be repeated, and the row is written last.
    """
    step = Step.begin("rej", request_id, dependencies.outside)
    if file.merchant_id != PLATFORM:
        dependencies.chunks.put_new_settlement(_rejected_settlement(file, stored, reason, step))
    raise_alert(_finding(file, stored, reason), dependencies.alerts)
    is_copied = _copied(stored, dependencies)
    rejected = stepped(file, step, status=FileStatus.REJECTED, reason=reason, completed_at=step.at)
    try:
        dependencies.chunks.advance(file, rejected, token=step.token)
    except StaleWrite:
        now = dependencies.chunks.file(file.id)
        if now is None or now.status is not FileStatus.REJECTED:
            raise
    if is_copied:
        dependencies.objects.delete(stored.version)
    logger.info("rejected", file=file.id, reason=reason)


def move_away(stored: StoredObject, dependencies: ReconciliationDependencies) -> None:
    """Finish moving a rejected object. One that is too large to be copied stays in place."""
    if _copied(stored, dependencies):
        dependencies.objects.delete(stored.version)


def _copied(stored: StoredObject, dependencies: ReconciliationDependencies) -> bool:
    copied = dependencies.objects.copy(stored, _rejected_key(stored.version.key))
    if not copied:
        logger.warning("a rejected object is too large to be moved", size=stored.size)
    return copied


def _rejected_key(key: str) -> str:
    """The new key of an object; with the hash of its key if the prefix makes that too long."""
    moved = f"{REJECTED_PREFIX}{key}"
    if len(moved.encode()) <= MAX_KEY_BYTES:
        return moved
    return f"{REJECTED_PREFIX}{hashlib.sha256(key.encode()).hexdigest()}"


def _finding(file: SettlementFile, stored: StoredObject, reason: str) -> AlertFacts:
    return AlertFacts(
        AlertType.SETTLEMENT_FILE_REJECTED,
        "settlement_file",
        file.id,
        file.merchant_id,
        {"key": echoed_path(file.key), "reason": reason},
        stored.put_at,
        Window(stored.put_at),
    )


def _rejected_settlement(
    file: SettlementFile, stored: StoredObject, reason: str, step: Step
) -> Settlement:
    """The settlement of a rejected file in GET /v1/settlements."""
    content = hashlib.sha256(f"{file.merchant_id}\nrejected\n{file.id}".encode()).hexdigest()
    return Settlement(
        id=f"{SETTLEMENT_PREFIX}{content[:26].upper()}",
        merchant_id=file.merchant_id,
        date=to_timestamp(stored.put_at)[:_DAY],
        status=SettlementStatus.REJECTED,
        source=file.key,
        sha256=file.sha256 or "",
        rejection_reason=reason,
        file_ids=(file.id,),
        completed_at=step.at,
        created_at=step.at,
        updated_at=step.at,
        **step.context.stamp(),
    )
