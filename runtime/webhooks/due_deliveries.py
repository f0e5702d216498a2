"""Queues deliveries that are due: those beyond the maximum delay of SQS, and lost messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import (
    REST_BUCKETS,
    REST_QUEUE,
    RETRY_BUCKETS,
    RETRY_QUEUE,
    all_buckets,
)
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.webhooks.repository import DueWebhook, WebhookEntry, WebhookRepository

DUE_PAGE: Final = 50
"""Deliveries of one bucket to queue before moving on to the next bucket."""
STRIDE: Final = 79
"""Distance between the first buckets of consecutive runs; visits all 320, neighbors far apart."""
PARALLEL_WRITES: Final = 8
QUEUED_GRACE: Final = timedelta(minutes=5)
"""Time to process a message before its delivery is queued again."""


@dataclass(frozen=True)
class DueDeliveriesDependencies:
    """Dependencies of queueing. `must_stop` returns whether the invocation must end."""

    webhooks: WebhookRepository
    queue: DeliveryQueue
    outside: Outside
    must_stop: Callable[[], bool]


@dataclass
class RetriesReport:
    """Result of a run. Deliveries counted as `failed` are due again in a later run."""

    due: int = 0
    queued: int = 0
    gone_on: int = 0
    failed: int = 0
    finished: bool = True


def queue_due(deps: DueDeliveriesDependencies) -> RetriesReport:
    """Queue what is due until `must_stop`, oldest first in each bucket.

    Buckets take turns, one page each, so that a full bucket does not delay the others: neither one
    of a resting endpoint, nor an ordinary one. A failure does not stop the others.
    """
    report = RetriesReport()
    lanes = _lanes(deps)
    while lanes:
        lane = lanes.popleft()
        page = list(islice(lane, DUE_PAGE))
        if not page:
            continue
        if deps.must_stop():
            report.finished = False
            break
        report.due += len(page)
        _queue(page, deps, report)
        lanes.append(lane)
    return report


def _lanes(deps: DueDeliveriesDependencies) -> deque[Iterator[WebhookEntry]]:
    """The due deliveries of each bucket.

    Each minute another bucket is the first one, in case runs end early.
    """
    now = deps.outside.now()
    lanes = deque(
        deps.webhooks.due(bucket, to_timestamp(now), page_size=DUE_PAGE)
        for queue, buckets in ((RETRY_QUEUE, RETRY_BUCKETS), (REST_QUEUE, REST_BUCKETS))
        for bucket in all_buckets(queue, buckets)
    )
    lanes.rotate(-to_epoch_seconds(now) // 60 * STRIDE)
    return lanes


def _queue(
    page: Sequence[WebhookEntry], deps: DueDeliveriesDependencies, report: RetriesReport
) -> None:
    """Postpone the deliveries, then send: those not sent become due again later."""
    rows = deps.webhooks.still_due(page, to_timestamp(deps.outside.now()))
    report.gone_on += len(page) - len(rows)
    with deps.outside.threads(PARALLEL_WRITES) as pool:
        taken = list(pool.map(lambda due: _put_off(due, deps), rows))
    report.failed += taken.count(None)
    report.gone_on += taken.count(False)
    orders = [
        DeliveryOrder(
            id=due.id,
            version=due.version + 1,
            merchant_id=due.merchant_id,
            request_id=due.request_id,
        )
        for due, is_ours in zip(rows, taken, strict=True)
        if is_ours
    ]
    unsent = len(deps.queue.send_all(orders))  # due again after QUEUED_GRACE
    report.queued += len(orders) - unsent
    report.failed += unsent


def _put_off(due: DueWebhook, deps: DueDeliveriesDependencies) -> bool | None:
    """Whether this run may queue the delivery; None if that could not be determined."""
    now = deps.outside.now()
    try:
        return deps.webhooks.put_off(due, to_timestamp(now + QUEUED_GRACE), to_timestamp(now))
    except Exception:  # noqa: BLE001 - the other deliveries are due as well
        logger.exception(
            "a due webhook could not be postponed", webhook=due.id, request_id=due.request_id
        )
        return None
