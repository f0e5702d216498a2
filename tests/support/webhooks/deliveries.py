"""Deliveries in a test: dependencies on a world's tables, and a queue that returns its messages."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from runtime.core.errors import DecryptionFailure
from runtime.core.timestamps import to_datetime, to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import bucket_for, retry_bucket
from runtime.dynamodb.store import Store
from runtime.merchants.models import MerchantProfile
from runtime.merchants.repository import MerchantRepository
from runtime.merchants.webhook_endpoints import first_endpoint_id
from runtime.settings import DeliverSettings
from runtime.webhooks.delivery import DeliveryDependencies, DeliveryOutcome, Http, deliver
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.webhooks.due_deliveries import DueDeliveriesDependencies, RetriesReport, queue_due
from runtime.webhooks.endpoint_health import Endpoints
from runtime.webhooks.endpoints.repository import EndpointRepository
from runtime.webhooks.http_sender import Reply
from runtime.webhooks.models import EndpointHealth, Webhook, event_key
from runtime.webhooks.new_deliveries import MESSAGE_GRACE
from runtime.webhooks.repository import WebhookRepository
from runtime.webhooks.schedule import RetrySchedule
from tests.support.platform import SETUP, Platform

SCHEDULE = RetrySchedule.parsed(DeliverSettings.model_fields["retry_delays_seconds"].default)
DEADLINE = timedelta(days=3)
_numbers = itertools.count(1)


@dataclass
class Queue(DeliveryQueue):
    """Messages with the time from which they are visible, by the world's clock."""

    platform: Platform
    waiting: list[tuple[datetime, int, DeliveryOrder]] = field(default_factory=list)
    available: bool = True
    history: list[DeliveryOrder] = field(default_factory=list)

    def send_all(
        self, orders: Sequence[DeliveryOrder], delay: timedelta = timedelta(0)
    ) -> frozenset[str]:
        assert timedelta(0) <= delay <= timedelta(seconds=900)
        if not self.available:
            return frozenset(order.id for order in orders)
        for order in orders:
            seen_at = self.platform.clock() + delay
            heapq.heappush(self.waiting, (seen_at, next(_numbers), order))
            self.history.append(order)
        return frozenset()

    def due(self) -> DeliveryOrder | None:
        """The next visible message."""
        if self.waiting and self.waiting[0][0] <= self.platform.clock():
            return heapq.heappop(self.waiting)[2]
        return None


@dataclass
class FakeHttp:
    """Endpoints that answer with `answer` of the URL; the time of each request is recorded."""

    answer: Callable[[str], Reply] = lambda _: Reply(status=200)
    clock: Callable[[], datetime] | None = None
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.sent.append((url, headers, body))
        if self.clock is not None:
            self.times.append(self.clock())
        return self.answer(url)


class FixedChance(Random):
    """Dice that always show the same."""

    def __init__(self, chance: float) -> None:
        super().__init__(0)
        self._chance = chance

    def random(self) -> float:
        return self._chance


class Post:
    """The sender and its sweep, on the tables of `platform`."""

    def __init__(self, platform: Platform, http: Http, *, chance: float = 0.0) -> None:
        self.platform = platform
        self.queue = Queue(platform)
        self.http = http
        self.chance = chance
        self.webhooks = WebhookRepository(platform.store)
        self.outcomes: list[DeliveryOutcome] = []
        self.decryption_failed: list[DecryptionFailure] = []

    def deps(self, store: Store | None = None, http: Http | None = None) -> DeliveryDependencies:
        store = store or self.platform.store
        webhooks = WebhookRepository(store)
        return DeliveryDependencies(
            webhooks=webhooks,
            endpoints=Endpoints(
                MerchantRepository(store),
                EndpointRepository(store),
                webhooks,
                self.platform.outside,
            ),
            http=http or self.http,
            queue=self.queue,
            schedule=SCHEDULE,
            outside=replace(self.platform.outside, chance=FixedChance(self.chance)),
            decryption_failed=self.decryption_failed.append,
        )

    def sweep(
        self, store: Store | None = None, must_stop: Callable[[], bool] = lambda: False
    ) -> RetriesReport:
        """Invoke the schedule."""
        webhooks = WebhookRepository(store or self.platform.store)
        return queue_due(
            DueDeliveriesDependencies(webhooks, self.queue, self.platform.outside, must_stop)
        )

    def is_anything_due(self) -> bool:
        """What the sweep would find, for one call instead of one for each bucket."""
        now = to_timestamp(self.platform.clock())
        return any((row.next_retry or "~") <= now for row in self.deliveries())

    def pump(self) -> list[DeliveryOutcome]:
        """Process every visible message."""
        outcomes = []
        while (order := self.queue.due()) is not None:
            outcomes.append(deliver(order, self.deps()))
        self.outcomes += outcomes
        return outcomes

    def pass_time(self, until: datetime, step: timedelta = timedelta(minutes=1)) -> None:
        """Advance the clock in steps, with the sweep every minute and the queue continuously."""
        while self.platform.clock() < until:
            moment = self.platform.clock()
            ahead = [moment + step, until]
            if self.queue.waiting:
                ahead.append(max(self.queue.waiting[0][0], moment))
            next_stop = min(ahead)
            self.platform.clock.set(next_stop)
            if next_stop == moment + step and self.is_anything_due():
                self.sweep()
            self.pump()

    def placed(self, merchant: MerchantProfile, **changes: Any) -> Webhook:
        """A new delivery, stored and queued as by the projection."""
        row = new_row(self.platform, merchant, **changes)
        assert self.platform.store.put_new(row) is None
        self.queue.send(DeliveryOrder.of(row))
        return row

    def row(self, webhook_id: str) -> Webhook:
        row = self.webhooks.get(webhook_id)
        assert row is not None
        return row

    def deliveries(self) -> list[Webhook]:
        rows = self.platform.client.scan(
            TableName=self.platform.tables["webhooks"],
            ConsistentRead=True,
            FilterExpression="begins_with(id, :p)",
            ExpressionAttributeValues={":p": {"S": "whk_"}},
        )["Items"]
        to_row = self.platform.store.codec.to_row
        return [to_row(Webhook.table_schema, each, Webhook) for each in rows]

    def health(self, merchant: MerchantProfile, url: str) -> EndpointHealth | None:
        return self.webhooks.health(merchant.id, first_endpoint_id(merchant.id), url)


def new_row(platform: Platform, merchant: MerchantProfile, **changes: Any) -> Webhook:
    """A delivery as created by the projection."""
    now = platform.clock()
    webhook_id = f"whk_{next(_numbers):026d}"
    kind = changes.get("event_type", "payment.succeeded")
    values: dict[str, Any] = {
        "id": webhook_id,
        "merchant_id": merchant.id,
        "merchant_bucket": bucket_for(merchant.id, webhook_id, merchant.index_buckets),
        "event_key": event_key(kind, webhook_id),
        "retry_bucket": retry_bucket(webhook_id),
        "next_retry": to_timestamp(now + MESSAGE_GRACE),
        "event_type": kind,
        "sequence": 2,
        "url": merchant.webhook_url,
        "payload": f'{{"id":"{webhook_id}"}}',
        "expires_at": to_epoch_seconds(now + DEADLINE),
        "created_at": to_timestamp(now),
        "updated_at": to_timestamp(now),
        **SETUP.stamp(),
        **changes,
    }
    return Webhook(**values)


def moment(instant: str | None) -> datetime:
    assert instant is not None
    return to_datetime(instant)
