"""Releases expired holds.

Due holds are found through `expiry-index`. The write requires that the hold is still open and has
expired. A late run does no harm: an expired hold can no longer be posted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from runtime.core.change_context import ChangeContext
from runtime.core.errors import StaleWrite
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import HOLD_BUCKETS, HOLD_QUEUE, all_buckets
from runtime.ledger.holds.holds import resolved
from runtime.ledger.movements import Operation
from runtime.ledger.repository import LedgerRepository, Resolution
from runtime.ledger.rules import movements_in_commit, movements_of_release
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.ledger.transfers.repository import TransferRepository

DUE_PAGE = 100
MAX_PER_RUN = 10_000
"""Most holds processed per run. The next run continues with the rest."""
EXPIRED_BY = "system:holds"


@dataclass(frozen=True)
class HoldExpiryDependencies:
    """Dependencies of hold expiry. `must_stop`: whether the invocation is about to time out."""

    ledger: LedgerRepository
    transfers: TransferRepository
    outside: Outside
    must_stop: Callable[[], bool]


@dataclass
class ExpiryReport:
    """Outcome of one run. Holds that `failed` stay due for the next run."""

    due: int = 0
    expired: int = 0
    resolved_meanwhile: int = 0
    failed: int = 0
    finished: bool = True


def expire_due_holds(deps: HoldExpiryDependencies, request_id: str) -> ExpiryReport:
    """Release expired holds. A hold that fails is logged and does not stop the others."""
    report = ExpiryReport()
    at = to_timestamp(deps.outside.now())
    for bucket in all_buckets(HOLD_QUEUE, HOLD_BUCKETS):
        room = MAX_PER_RUN - report.due
        due = islice(deps.transfers.due_holds(bucket, at, page_size=DUE_PAGE), room)
        for hold in due:
            if deps.must_stop():
                report.finished = False
                return report
            report.due += 1
            try:
                _expire(hold.id, request_id, deps, report)
            except Exception:  # noqa: BLE001 - logged; the others continue
                logger.exception("a hold could not be expired", transfer=hold.id)
                report.failed += 1
    report.finished = report.due < MAX_PER_RUN
    return report


def _expire(
    transfer_id: str, request_id: str, deps: HoldExpiryDependencies, report: ExpiryReport
) -> None:
    hold = deps.transfers.get(transfer_id, UNRESTRICTED)
    if hold is None or hold.status is not TransferStatus.PENDING:
        report.resolved_meanwhile += 1  # the index is eventually consistent
        return
    operation = _operation(hold, request_id, deps.outside)
    after = resolved(hold, TransferStatus.EXPIRED, operation)
    movements = movements_of_release(hold.legs)
    touched = movements_in_commit(hold, movements)
    try:
        deps.ledger.resolve(Resolution(hold, after, touched, operation, None))
    except StaleWrite:
        report.resolved_meanwhile += 1
        return
    report.expired += 1


def _operation(hold: Transfer, request_id: str, outside: Outside) -> Operation:
    now = outside.now()
    operation_id = outside.new_id("exp", now)
    change = ChangeContext(changed_by=EXPIRED_BY, request_id=request_id, cause=operation_id)
    return Operation(operation_id, hold.id, change, now)
