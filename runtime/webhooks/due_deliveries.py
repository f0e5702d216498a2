"""Deliveries whose time has come are queued: those too far off for SQS, and what was lost."""

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
from runtime.webhooks.repository import DueWebhook, WebhookRepository

DUE_PAGE: Final = 50
"""Deliveries of one bucket that are queued before it is the next one's turn."""
MAX_ORDINARY: Final = 10_000
"""Deliveries that one run queues; the next takes the others."""
MAX_RESTED: Final = 5_000
"""Those of endpoints that rest, besides: whatever waits for them takes nothing from the others."""
STRIDE: Final = 79
"""From one run's first bucket to the next one's: it meets all 128, neighbours far apart."""
PARALLEL_WRITES: Final = 8
QUEUED_GRACE: Final = timedelta(minutes=5)
"""So long an order has to be worked on before its delivery is queued once more."""


@dataclass(frozen=True)
class DueDeliveriesDependencies:
    """What queueing works with. `must_stop` says that the invocation's time runs out."""

    webhooks: WebhookRepository
    queue: DeliveryQueue
    outside: Outside
    must_stop: Callable[[], bool]


@dataclass
class RetriesReport:
    """What became of the deliveries that were due. `failed` ones are due again for a later run."""

    due: int = 0
    queued: int = 0
    gone_on: int = 0
    failed: int = 0
    finished: bool = True


@dataclass(frozen=True, slots=True)
class _Lane:
    """What is due of one bucket of a queue."""

    queue: str
    due: Iterator[DueWebhook]


def queue_due(deps: DueDeliveriesDependencies) -> RetriesReport:
    """Queue what is due, the longest waiting of each bucket first. One that fails stops no other.

    The buckets take turns, a page each, so that none is kept waiting by what stands in another.
    """
    report = RetriesReport()
    lanes = _lanes(deps)
    left = {RETRY_QUEUE: MAX_ORDINARY, REST_QUEUE: MAX_RESTED}
    while lanes:
        lane = lanes.popleft()
        page = list(islice(lane.due, min(DUE_PAGE, left[lane.queue])))
        if not page:
            report.finished = report.finished and left[lane.queue] > 0
            continue
        if deps.must_stop():
            report.finished = False
            break
        left[lane.queue] -= len(page)
        report.due += len(page)
        _queue(page, deps, report)
        lanes.append(lane)
    return report


def _lanes(deps: DueDeliveriesDependencies) -> deque[_Lane]:
    """Every bucket. Another one is the first each minute, should no run come to the last."""
    now = deps.outside.now()
    lanes = deque(
        _Lane(queue, deps.webhooks.due(bucket, to_timestamp(now), page_size=DUE_PAGE))
        for queue, buckets in ((RETRY_QUEUE, RETRY_BUCKETS), (REST_QUEUE, REST_BUCKETS))
        for bucket in all_buckets(queue, buckets)
    )
    lanes.rotate(-to_epoch_seconds(now) // 60 * STRIDE)
    return lanes


def _queue(
    page: Sequence[DueWebhook], deps: DueDeliveriesDependencies, report: RetriesReport
) -> None:
    """Put them off first and send afterwards: what is then not sent is due again later."""
    with deps.outside.threads(PARALLEL_WRITES) as pool:
        taken = list(pool.map(lambda due: _put_off(due, deps), page))
    report.failed += taken.count(None)
    report.gone_on += taken.count(False)
    orders = [
        DeliveryOrder(id=due.id, version=due.version + 1, merchant_id=due.merchant_id)
        for due, is_ours in zip(page, taken, strict=True)
        if is_ours
    ]
    unsent = len(deps.queue.send_all(orders))  # due again when they were put off long enough
    report.queued += len(orders) - unsent
    report.failed += unsent


def _put_off(due: DueWebhook, deps: DueDeliveriesDependencies) -> bool | None:
    """Whether it is ours to send; None where it could not be found out."""
    now = deps.outside.now()
    try:
        return deps.webhooks.put_off(due, to_timestamp(now + QUEUED_GRACE), to_timestamp(now))
    except Exception:  # noqa: BLE001 - whatever it was, the others are due as well
        logger.exception("a due webhook could not be put off", webhook=due.id)
        return None
