"""Deliveries that are retried, expire, or are queued again; and senders that crash."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from benchmarks.bill.prices import price_of
from runtime.core.errors import Unavailable
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import bucket_for, rest_bucket, retry_bucket
from runtime.merchants.models import MerchantProfile
from runtime.webhooks.api import WebhookBody
from runtime.webhooks.delivery import (
    ATTEMPT_LEASE,
    FINAL_KEPT,
    DeliveryOutcome,
    deliver,
)
from runtime.webhooks.delivery_queue import DeliveryOrder
from runtime.webhooks.due_deliveries import DUE_PAGE
from runtime.webhooks.http_sender import Reply
from runtime.webhooks.models import Webhook, WebhookStatus
from runtime.webhooks.new_deliveries import MESSAGE_GRACE
from runtime.webhooks.projection import shown
from runtime.webhooks.repository import WebhookEntry
from runtime.webhooks.schedule import FAILURES_TO_OPEN
from tests.support.engines.faults import Fault, Faults, ProcessKilled, at_call, seeded
from tests.support.platform import Platform, at_once
from tests.support.webhooks.deliveries import DEADLINE, FakeHttp, Post, moment, new_row
from tests.support.webhooks.failing_endpoints import DEAD, LOCAL, SECRET, URL, failing
from tests.support.webhooks.receiver import Receiver

# ------------------------------------------------------------ retries


def test_an_endpoint_that_fails_three_times_receives_the_fourth_attempt_on_time(
    either_world: Platform,
) -> None:
    platform = either_world
    with Receiver(
        script=[(500, {}), (302, {"location": "http://169.254.169.254/"}), (404, {})]
    ).running() as receiver:
        merchant = platform.merchant(webhook_url=receiver.url, webhook_secret=SECRET)
        times = []
        receiver.before_answer = lambda _: times.append(platform.clock())
        post = Post(platform, LOCAL)
        row = post.placed(merchant, payload='{"id":"whk","ä":1}')
        began = platform.clock()
        post.pass_time(began + timedelta(hours=1))
    waited = [(time - began).total_seconds() for time in times]
    assert len(waited) == 4
    assert waited[0] < 1
    assert 5 <= waited[1] - waited[0] < 6
    assert 300 <= waited[2] - waited[1] < 301
    assert 1800 <= waited[3] - waited[2] < 1800 + 61  # beyond SQS's delay: plus the sweep's minute
    after = post.row(row.id)
    assert (after.status, after.attempts, after.response_code) == ("delivered", 4, 200)
    assert after.retry_bucket is after.next_retry is after.failure_reason is None
    assert after.expires_at >= to_epoch_seconds(began + FINAL_KEPT)
    assert {request.headers["webhook-id"] for request in receiver.received} == {row.id}
    assert {request.body for request in receiver.received} == {row.payload.encode()}
    stamps = [int(request.headers["webhook-timestamp"]) for request in receiver.received]
    assert stamps == [to_epoch_seconds(time) for time in times]


def test_retry_after_is_respected(either_world: Platform) -> None:
    platform = either_world
    with Receiver(script=[(429, {"retry-after": "600"})]).running() as receiver:
        merchant = platform.merchant(webhook_url=receiver.url)
        post = Post(platform, LOCAL, chance=0.9)
        row = post.placed(merchant)
        assert post.pump() == [DeliveryOutcome.TO_RETRY]
        waiting = post.row(row.id)
        assert waiting.response_code == 429
        assert moment(waiting.next_retry) - moment(waiting.last_attempt) >= timedelta(seconds=600)
        post.pass_time(platform.clock() + timedelta(seconds=595))
        assert len(receiver.received) == 1
        post.pass_time(platform.clock() + timedelta(seconds=10))
    assert post.row(row.id).status is WebhookStatus.DELIVERED


@pytest.mark.parametrize(
    "header", ["Mon, 01 Jan 99999999999 00:00:00 GMT", "soon", "9" * 5_000, "\x00"]
)
def test_an_invalid_retry_after_is_treated_as_an_ordinary_failure(
    platform: Platform, header: str
) -> None:
    http = FakeHttp(lambda _: Reply(status=503, retry_after=header))
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    row = post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.TO_RETRY]
    waiting = post.row(row.id)
    assert (waiting.attempts, waiting.response_code) == (1, 503)
    assert moment(waiting.next_retry) > platform.clock()
    health = post.health(merchant, URL)
    assert health is not None
    assert health.failures == 1


def test_an_attempt_that_raises_is_recorded_as_a_failure_of_the_endpoint(
    platform: Platform,
) -> None:
    def breaks(_: str) -> Reply:
        raise RuntimeError("an unexpected error")

    post = Post(platform, FakeHttp(breaks))
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(FAILURES_TO_OPEN + 1)]
    outcomes = post.pump()
    assert outcomes == [DeliveryOutcome.TO_RETRY] * FAILURES_TO_OPEN + [DeliveryOutcome.POSTPONED]
    after = post.row(rows[0].id)
    assert (after.attempts, after.response_code) == (1, None)
    assert after.failure_reason == "the attempt was not completed"


def test_a_delivery_expires_at_its_deadline_and_is_not_sent_again(platform: Platform) -> None:
    http = FakeHttp(lambda _: Reply(failure="no answer within 10 s"), clock=platform.clock)
    merchant = platform.merchant(webhook_url=URL)
    post = Post(platform, http)
    row = post.placed(merchant)
    began = platform.clock()
    post.pass_time(began + DEADLINE + timedelta(hours=15), step=timedelta(minutes=30))
    after = post.row(row.id)
    assert after.status is WebhookStatus.EXPIRED
    assert after.failure_reason == "no answer within 10 s"
    assert after.attempts == len(http.sent) == 10
    assert http.times[-1] < began + DEADLINE
    assert after.retry_bucket is None


def test_a_delivery_past_its_deadline_expires_unsent(either_world: Platform) -> None:
    platform = either_world
    http = FakeHttp()
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    row = post.placed(merchant, expires_at=to_epoch_seconds(platform.clock()))
    assert post.pump() == [DeliveryOutcome.EXPIRED]
    assert post.row(row.id).status is WebhookStatus.EXPIRED
    assert http.sent == []


# ------------------------------------------------------------ senders


def test_of_two_senders_with_one_message_one_sends(either_world: Platform) -> None:
    platform = either_world
    http = FakeHttp()
    post = Post(platform, http)
    row = post.placed(platform.merchant(webhook_url=URL))
    outcomes = at_once(*[lambda: deliver(DeliveryOrder.of(row), post.deps()) for _ in range(6)])
    assert sorted(map(str, outcomes)) == ["delivered"] + ["stale"] * 5
    assert len(http.sent) == 1
    assert post.row(row.id).attempts == 1


def test_a_repeated_late_or_unknown_message_is_ignored(platform: Platform) -> None:
    http = failing(500)
    post = Post(platform, http)
    row = post.placed(platform.merchant(webhook_url=URL))
    assert post.pump() == [DeliveryOutcome.TO_RETRY]
    assert deliver(DeliveryOrder.of(row), post.deps()) is DeliveryOutcome.STALE
    assert deliver(DeliveryOrder(id="whk_none", version=1, merchant_id="m"), post.deps()) == "stale"
    assert len(http.sent) == 1


@pytest.mark.parametrize("step", range(1, 12))
def test_a_sender_killed_anywhere_loses_nothing_and_repeats_the_same_webhook(
    platform: Platform, step: int
) -> None:
    http = FakeHttp()
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    platform.forget_keys()
    row = post.placed(merchant)
    client = platform.engine.dynamodb()
    calls: dict[str, int] = {}

    def plan(operation: str, number: int) -> Fault | None:
        calls["all"] = calls.get("all", 0) + 1
        if calls["all"] != (step + 1) // 2:
            return None
        return Fault.KILLED_BEFORE if step % 2 else Fault.KILLED_AFTER

    Faults(plan).attach(client)
    order = post.queue.due()
    assert order is not None
    with suppress(ProcessKilled):
        deliver(order, post.deps(platform.store_on(client)))
    assert len(http.sent) <= 1
    sent_before = len(http.sent)
    post.pass_time(platform.clock() + timedelta(minutes=3))
    after = post.row(row.id)
    assert after.status is WebhookStatus.DELIVERED
    assert after.attempts >= 1
    assert len(http.sent) == sent_before + (1 if sent_before == 0 or after.attempts == 2 else 0)
    assert {headers["webhook-id"] for _, headers, _ in http.sent} == {row.id}
    assert {body for _, _, body in http.sent} == {row.payload.encode()}


@pytest.mark.parametrize("late", [0, 61])
def test_after_a_crash_following_the_claim_the_lease_is_waited_for(
    platform: Platform, late: int
) -> None:
    def dies(_: str) -> Reply:
        raise ProcessKilled

    post = Post(platform, FakeHttp())
    row = post.placed(platform.merchant(webhook_url=URL))
    order = post.queue.due()
    platform.clock.advance(late)
    assert order is not None
    with pytest.raises(ProcessKilled):
        deliver(order, post.deps(http=FakeHttp(dies)))
    claimed = post.row(row.id)
    assert (claimed.attempts, claimed.status) == (1, WebhookStatus.PENDING)
    lease = moment(claimed.next_retry) - moment(claimed.last_attempt)
    assert lease == ATTEMPT_LEASE if late else ATTEMPT_LEASE < lease <= MESSAGE_GRACE
    assert claimed.retry_bucket == retry_bucket(row.id)
    assert post.sweep().due == 0
    platform.clock.advance(lease.total_seconds())
    assert post.sweep().queued == 1
    assert post.pump() == [DeliveryOutcome.DELIVERED]
    assert post.row(row.id).attempts == 2


def test_every_webhook_arrives_despite_database_faults(platform: Platform) -> None:
    http = failing(500, 200, 503, None)
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(8)]
    client = platform.engine.dynamodb()
    Faults(seeded("deliveries", 0.3)).attach(client)
    while (order := post.queue.due()) is not None:
        deliver(order, post.deps(platform.store_on(client)))
    post.pass_time(platform.clock() + timedelta(hours=1))
    assert {post.row(row.id).status for row in rows} == {WebhookStatus.DELIVERED}
    assert {headers["webhook-id"] for _, headers, _ in http.sent} == {row.id for row in rows}


def test_a_claim_with_a_lost_answer_is_recognized(platform: Platform) -> None:
    http = FakeHttp()
    post = Post(platform, http)
    row = post.placed(platform.merchant(webhook_url=URL))
    client = platform.engine.dynamodb()
    Faults(at_call("UpdateItem", 1, Fault.ANSWER_LOST)).attach(client)
    assert (
        deliver(DeliveryOrder.of(row), post.deps(platform.store_on(client)))
        is DeliveryOutcome.DELIVERED
    )
    assert len(http.sent) == 1


def test_an_invocation_without_time_sends_and_claims_nothing(platform: Platform) -> None:
    http = FakeHttp()
    post = Post(platform, http)
    row = post.placed(platform.merchant(webhook_url=URL))
    deps = post.deps()
    tired = replace(deps, has_time=lambda: False)
    with pytest.raises(Unavailable):
        deliver(DeliveryOrder.of(row), tired)
    assert post.row(row.id) == row
    assert http.sent == []


# ------------------------------------------------------------ the sweep


def test_a_lost_message_is_replaced_within_three_minutes(either_world: Platform) -> None:
    platform = either_world
    post = Post(platform, FakeHttp())
    row = post.placed(platform.merchant(webhook_url=URL))
    post.queue.waiting.clear()
    assert post.sweep().due == 0
    platform.clock.advance(121)
    assert post.sweep().queued == 1
    platform.clock.advance(60)
    assert post.sweep().due == 0  # queued, and not every minute
    assert post.pump() == [DeliveryOutcome.DELIVERED]
    assert post.row(row.id).status is WebhookStatus.DELIVERED
    platform.clock.advance(3600)
    assert post.sweep().due == 0


def test_a_delivery_that_could_not_be_queued_is_queued_by_a_later_sweep(platform: Platform) -> None:
    post = Post(platform, FakeHttp())
    post.placed(platform.merchant(webhook_url=URL))
    post.queue.waiting.clear()
    platform.clock.advance(121)
    post.queue.available = False
    assert post.sweep().failed == 1
    post.queue.available = True
    platform.clock.advance(301)
    assert post.sweep().queued == 1
    assert post.pump() == [DeliveryOutcome.DELIVERED]


def test_concurrent_sweeps_and_a_late_message_make_one_attempt(either_world: Platform) -> None:
    platform = either_world
    http = FakeHttp()
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(20)]
    platform.clock.advance(121)
    for report in at_once(*[post.sweep for _ in range(4)]):
        assert not isinstance(report, Exception), report
    post.pump()
    assert sorted(headers["webhook-id"] for _, headers, _ in http.sent) == [row.id for row in rows]


def resting(post: Post, merchant: MerchantProfile, count: int) -> list[Webhook]:
    """Deliveries that were postponed because their endpoint is paused, and are due now."""
    rest = rest_bucket(bucket_for(merchant.id, "", 1))
    return [post.placed(merchant, retry_bucket=rest) for _ in range(count)]


def test_postponed_deliveries_have_their_own_index_shards_until_queued_again(
    either_world: Platform,
) -> None:
    platform = either_world
    post = Post(platform, FakeHttp(lambda _: Reply(status=500)))
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(FAILURES_TO_OPEN + 2)]
    post.pump()
    tried, rested = post.row(rows[0].id), [post.row(row.id) for row in rows[FAILURES_TO_OPEN:]]
    assert tried.retry_bucket == retry_bucket(tried.id)
    lane = rest_bucket(merchant_bucket=rested[0].merchant_bucket)
    assert {row.retry_bucket for row in rested} == {lane}
    post.queue.waiting.clear()
    platform.clock.advance(91)
    assert post.sweep().queued >= 2
    queued = [post.row(row.id) for row in rested]
    assert [row.retry_bucket for row in queued] == [retry_bucket(row.id) for row in rested]
    others = [DeliveryOutcome.POSTPONED] * (len(rows) - 1)
    assert sorted(post.pump()) == sorted([DeliveryOutcome.TO_RETRY, *others])
    after = [post.row(row.id) for row in rows]
    assert [row.retry_bucket for row in after].count(lane) == len(others)
    assert len([row for row in after if row.retry_bucket == retry_bucket(row.id)]) == 1


def test_a_dead_endpoint_with_many_deliveries_delays_no_ordinary_retry(platform: Platform) -> None:
    post = Post(platform, FakeHttp())
    dead, well = platform.merchant(webhook_url=DEAD), platform.merchant(webhook_url=URL)
    mountain = resting(post, dead, DUE_PAGE * 3 + 10)
    platform.clock.advance(1)
    ordinary = {post.placed(well).id for _ in range(20)}
    post.queue.waiting.clear()
    platform.clock.advance(120)
    report = post.sweep()
    assert (report.queued, report.finished) == (len(mountain) + 20, True)
    queued = [order.id for order in post.queue.history[-report.queued :]]
    assert ordinary <= set(queued[: DUE_PAGE + 20]), "behind at most one page of the mountain"


def test_a_run_queues_what_is_due_until_its_time_ends(platform: Platform) -> None:
    post = Post(platform, FakeHttp())
    mountain = resting(post, platform.merchant(webhook_url=DEAD), DUE_PAGE * 4)
    platform.clock.advance(121)
    ends = platform.clock() + timedelta(seconds=35)

    def must_stop() -> bool:
        platform.clock.advance(10)  # one page takes ten seconds
        return platform.clock() > ends

    report = post.sweep(must_stop=must_stop)
    assert (report.queued, report.finished) == (DUE_PAGE * 3, False)
    report = post.sweep()
    assert (report.queued, report.finished) == (len(mountain) - DUE_PAGE * 3, True)


@pytest.mark.parametrize("minute", range(3))
def test_a_run_that_ends_early_has_read_every_bucket(platform: Platform, minute: int) -> None:
    post = Post(platform, FakeHttp())
    dead, well = platform.merchant(webhook_url=DEAD), platform.merchant(webhook_url=URL)
    resting(post, dead, DUE_PAGE * 3)
    ordinary = {post.placed(well).id for _ in range(2)}
    post.queue.waiting.clear()
    platform.clock.advance(121 + 60 * minute)
    pages = iter([False] * 3 + [True])
    report = post.sweep(must_stop=lambda: next(pages))
    assert not report.finished
    assert ordinary <= {order.id for order in post.queue.history[-report.queued :]}


def test_a_webhook_delivered_at_once_costs_two_writes_and_two_reads(
    platform: Platform,
) -> None:
    merchant = platform.merchant(webhook_url=URL)
    platform.paid(merchant, description="Two books", metadata={"order": "4711", "shop": "Berlin"})
    body = WebhookBody(
        id="whk_" + "0" * 26,
        type="payment.succeeded",
        created=platform.payment().updated_at,
        sequence=2,
        data=shown(platform.payment()),
    )
    post = Post(platform, FakeHttp())
    client = platform.engine.dynamodb()
    store = platform.store_on(client)
    row = new_row(platform, merchant, payload=body.model_dump_json())
    platform.store.codec.prepare(row)
    price = price_of(lambda: store.put_new(row), client, platform.client)
    assert (price.trips, price.requested) == (1, 3)  # the row, and an entry in each index
    price = price_of(
        lambda: deliver(DeliveryOrder.of(row), post.deps(store)), client, platform.client
    )
    assert (price.trips, price.read_units) == (5, 2), price
    assert price.requested == 3, price.units
    table = platform.tables["webhooks"]
    # Only the outcome changes an entry: it leaves the index of what is due.
    assert price.units == {(table, None): 2, (table, "gsi-retry"): 1}
    assert max(write.bytes_after for write in price.writes) < 750


def test_a_webhook_that_is_claimed_late_moves_its_entry(platform: Platform) -> None:
    post = Post(platform, FakeHttp())
    client = platform.engine.dynamodb()
    store = platform.store_on(client)
    row = post.placed(platform.merchant(webhook_url=URL))
    post.webhooks.get(row.id)  # the key is cached
    platform.clock.advance(61)
    price = price_of(
        lambda: deliver(DeliveryOrder.of(row), post.deps(store)), client, platform.client
    )
    table = platform.tables["webhooks"]
    assert price.units == {(table, None): 2, (table, "gsi-retry"): 3}


def test_what_is_no_longer_due_is_left_out_by_the_sweep(platform: Platform) -> None:
    post = Post(platform, FakeHttp())
    merchant = platform.merchant(webhook_url=URL)
    done, waiting = post.placed(merchant), post.placed(merchant)
    platform.clock.advance(121)
    entries = [WebhookEntry(id=row.id) for row in (done, waiting)]
    order = post.queue.due()
    assert order is not None
    assert order.id == done.id
    deliver(order, post.deps())
    now = to_timestamp(platform.clock())
    due = post.webhooks.still_due(entries, now)
    assert [(row.id, row.version) for row in due] == [(waiting.id, 1)]
