"""Releases expired holds.

Due holds are found through `expiry-index`. The write requires that the hold is still open and has
expired. A late run does no harm: an expired hold can no longer be posted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.errors import StaleWrite
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import HOLD_BUCKETS, HOLD_QUEUE, all_buckets
from runtime.ledger.holds.holds import resolved
from runtime.ledger.movements import Operation
from runtime.ledger.repository import LedgerRepository, Resolution
from runtime.ledger.rules import movements_in_commit, movements_of_release
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.ledger.transfers.repository import DueHold, TransferRepository

DUE_PAGE: Final = 100
"""Holds of one bucket to expire before moving on to the next bucket."""
STRIDE: Final = 19
"""Distance between the first buckets of consecutive runs; visits all 64, neighbors far apart."""
AT_ONCE: Final = 16
"""Holds expired in parallel: most of the time is spent waiting for DynamoDB."""
EXPIRED_BY: Final = "system:holds"


class _Outcome(StrEnum):
    EXPIRED = "expired"
    RESOLVED_MEANWHILE = "resolved_meanwhile"
    FAILED = "failed"
    NOT_STARTED = "not_started"


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
    """Release expired holds until `must_stop`. A failed one is logged and does not stop the others.

    Buckets take turns, one page each, so that a full bucket does not delay the others.
    """
    report = ExpiryReport()
    lanes = _lanes(deps)
    with deps.outside.threads(AT_ONCE) as pool:
        while lanes and report.finished:
            lane = lanes.popleft()
            page = list(islice(lane, DUE_PAGE))
            if page:
                outcomes = list(pool.map(partial(_outcome, request_id, deps), page))
                _count(outcomes, report)
                lanes.append(lane)
    return report


def _lanes(deps: HoldExpiryDependencies) -> deque[Iterator[DueHold]]:
    """The due holds of each bucket.

    Each minute another bucket is the first one, in case runs end early.
    """
    now = deps.outside.now()
    lanes = deque(
        deps.transfers.due_holds(bucket, to_timestamp(now), page_size=DUE_PAGE)
        for bucket in all_buckets(HOLD_QUEUE, HOLD_BUCKETS)
    )
    lanes.rotate(-to_epoch_seconds(now) // 60 * STRIDE)
    return lanes


def _count(outcomes: list[_Outcome], report: ExpiryReport) -> None:
    skipped = outcomes.count(_Outcome.NOT_STARTED)
    report.due += len(outcomes) - skipped
    report.expired += outcomes.count(_Outcome.EXPIRED)
    report.resolved_meanwhile += outcomes.count(_Outcome.RESOLVED_MEANWHILE)
    report.failed += outcomes.count(_Outcome.FAILED)
    report.finished = skipped == 0


def _outcome(request_id: str, deps: HoldExpiryDependencies, due: DueHold) -> _Outcome:
    if deps.must_stop():
        return _Outcome.NOT_STARTED
    try:
        return _expire(due.id, request_id, deps)
    except Exception:  # noqa: BLE001 - logged; the others continue
        logger.exception("a hold could not be expired", transfer=due.id)
        return _Outcome.FAILED


def _expire(transfer_id: str, request_id: str, deps: HoldExpiryDependencies) -> _Outcome:
    hold = deps.transfers.get(transfer_id, UNRESTRICTED)
    if hold is None or hold.status is not TransferStatus.PENDING:
        return _Outcome.RESOLVED_MEANWHILE  # the index is eventually consistent
    operation = _operation(hold, request_id, deps.outside)
    after = resolved(hold, TransferStatus.EXPIRED, operation)
    movements = movements_of_release(hold.legs)
    touched = movements_in_commit(hold, movements)
    ending = Resolution(hold, after, touched, operation, claim=None, ordinary_only=False)
    try:
        deps.ledger.resolve(ending)
    except StaleWrite:
        return _Outcome.RESOLVED_MEANWHILE
    return _Outcome.EXPIRED


def _operation(hold: Transfer, request_id: str, outside: Outside) -> Operation:
    now = outside.now()
    operation_id = outside.new_id("exp", now)
    change = ChangeContext(changed_by=EXPIRED_BY, request_id=request_id, cause=operation_id)
    return Operation(operation_id, hold.id, change, now)
