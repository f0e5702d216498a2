"""Deliveries whose time has come are queued: those too far off for SQS, and what was lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from runtime.domain.buckets import RETRY_BUCKETS, RETRY_QUEUE, all_buckets
from runtime.domain.instants import to_instant
from runtime.gateways.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.observability import logger
from runtime.repositories.webhooks import DueWebhook, WebhookRepository

DUE_PAGE: Final = 100
MAX_PER_BUCKET: Final = 1_250
"""Deliveries of one bucket that one run queues, 10,000 in all; the next takes the rest."""
PARALLEL_WRITES: Final = 8
QUEUED_GRACE: Final = timedelta(minutes=5)
"""So long an order has to be worked on before its delivery is queued once more."""


@dataclass(frozen=True)
class RetriesDesk:
    """What queueing works with. `must_stop` says that the invocation's time runs out."""

    webhooks: WebhookRepository
    queue: DeliveryQueue
    clock: Callable[[], datetime]
    must_stop: Callable[[], bool]


@dataclass
class RetriesReport:
    """What became of the deliveries that were due. `failed` ones are due again for a later run."""

    due: int = 0
    queued: int = 0
    gone_on: int = 0
    failed: int = 0
    finished: bool = True


def queue_due(desk: RetriesDesk) -> RetriesReport:
    """Queue what is due, the longest waiting first. One that fails does not stop the others."""
    report = RetriesReport()
    at = to_instant(desk.clock())
    for bucket in all_buckets(RETRY_QUEUE, RETRY_BUCKETS):
        due = islice(desk.webhooks.due(bucket, at, page_size=DUE_PAGE), MAX_PER_BUCKET)
        taken = 0
        while page := list(islice(due, DUE_PAGE)):
            if desk.must_stop():
                report.finished = False
                return report
            taken, report.due = taken + len(page), report.due + len(page)
            _queue(page, desk, report)
        report.finished = report.finished and taken < MAX_PER_BUCKET
    return report


def _queue(page: Sequence[DueWebhook], desk: RetriesDesk, report: RetriesReport) -> None:
    """Put them off first and send afterwards: what is then not sent is due again later."""
    with ThreadPoolExecutor(max_workers=PARALLEL_WRITES) as pool:
        taken = list(pool.map(lambda due: _put_off(due, desk), page))
    report.failed += taken.count(None)
    report.gone_on += taken.count(False)
    orders = [
        DeliveryOrder(id=due.id, version=due.version + 1, merchant_id=due.merchant_id)
        for due, is_ours in zip(page, taken, strict=True)
        if is_ours
    ]
    unsent = len(desk.queue.send_all(orders))  # due again when they were put off long enough
    report.queued += len(orders) - unsent
    report.failed += unsent


def _put_off(due: DueWebhook, desk: RetriesDesk) -> bool | None:
    """Whether it is ours to send; None where it could not be found out."""
    now = desk.clock()
    try:
        return desk.webhooks.put_off(due, to_instant(now + QUEUED_GRACE), to_instant(now))
    except Exception:  # noqa: BLE001 - whatever it was, the others are due as well
        logger.exception("a due webhook could not be put off", webhook=due.id)
        return None
