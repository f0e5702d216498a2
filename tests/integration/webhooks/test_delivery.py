"""Deliveries to endpoints that fail, pause, recover or are gone; and senders that crash."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from benchmarks.prices import price_of
from runtime.core.errors import Unavailable
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime, to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import bucket_for, rest_bucket, retry_bucket
from runtime.merchants.models import MerchantProfile, PreviousSecret
from runtime.merchants.repository import MerchantRepository
from runtime.webhooks import due_deliveries
from runtime.webhooks.api import WebhookBody
from runtime.webhooks.delivery import (
    ATTEMPT_LEASE,
    FINAL_KEPT,
    GONE,
    NO_ENDPOINT,
    DeliveryOutcome,
    deliver,
)
from runtime.webhooks.delivery_queue import DeliveryOrder
from runtime.webhooks.due_deliveries import DUE_PAGE
from runtime.webhooks.http_sender import Reply, WebhookHttp
from runtime.webhooks.models import EndpointHealth, Webhook, WebhookStatus, endpoint_id
from runtime.webhooks.projection import shown
from runtime.webhooks.repository import DueWebhook, WebhookRepository
from runtime.webhooks.schedule import FAILURES_TO_OPEN, HEALTH_KEPT
from tests.support.engines.faults import Fault, Faults, ProcessKilled, at_call, seeded
from tests.support.platform import Platform, at_once
from tests.support.webhooks.deliveries import DEADLINE, FakeHttp, Post, moment, new_row
from tests.support.webhooks.receiver import Receiver

URL, DEAD = "https://hooks.example/in", "https://dead.example/in"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
LOCAL = WebhookHttp(allow_local=True, total_seconds=2.0)


def failing(*statuses: int | None) -> FakeHttp:
    """Answers with these, one after the other, and then with 200."""
    left = list(statuses)
    return FakeHttp(lambda _: Reply(status=left.pop(0) if left else 200))


def change_merchant(platform: Platform, merchant_id: str, **changes: Any) -> None:
    repository = MerchantRepository(platform.store)
    before = repository.get(merchant_id, UNRESTRICTED)
    assert before is not None
    after = before.model_copy(update={**changes, "version": before.version + 1})
    repository.alter(before, after, None, token=f"t-{before.version}", now=platform.clock())


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


def test_after_a_crash_following_the_claim_the_lease_is_waited_for(platform: Platform) -> None:
    def dies(_: str) -> Reply:
        raise ProcessKilled

    post = Post(platform, FakeHttp())
    row = post.placed(platform.merchant(webhook_url=URL))
    order = post.queue.due()
    assert order is not None
    with pytest.raises(ProcessKilled):
        deliver(order, post.deps(http=FakeHttp(dies)))
    claimed = post.row(row.id)
    assert (claimed.attempts, claimed.status) == (1, WebhookStatus.PENDING)
    assert moment(claimed.next_retry) - moment(claimed.last_attempt) == ATTEMPT_LEASE
    assert post.sweep().due == 0
    platform.clock.advance(ATTEMPT_LEASE.total_seconds())
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


def test_a_lost_message_is_replaced_within_two_minutes(either_world: Platform) -> None:
    platform = either_world
    post = Post(platform, FakeHttp())
    row = post.placed(platform.merchant(webhook_url=URL))
    post.queue.waiting.clear()
    assert post.sweep().due == 0
    platform.clock.advance(61)
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
    platform.clock.advance(61)
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
    platform.clock.advance(61)
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


def test_a_dead_endpoint_with_many_deliveries_delays_no_ordinary_retry(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_deliveries, "MAX_RESTED", 60)
    post = Post(platform, FakeHttp())
    dead, well = platform.merchant(webhook_url=DEAD), platform.merchant(webhook_url=URL)
    mountain = resting(post, dead, 160)
    platform.clock.advance(1)
    ordinary = [post.placed(well) for _ in range(20)]
    post.queue.waiting.clear()
    platform.clock.advance(60)
    report = post.sweep()
    assert (report.queued, report.finished) == (80, False)
    ids = {order.id for order in post.queue.history[-80:]}
    assert {row.id for row in ordinary} < ids
    assert len(ids & {row.id for row in mountain}) == 60
    platform.clock.advance(60)
    assert post.sweep().queued == 60  # the backlog shrinks with every run


@pytest.mark.parametrize("minute", range(3))
def test_a_run_that_ends_early_has_read_every_bucket(platform: Platform, minute: int) -> None:
    post = Post(platform, FakeHttp())
    dead, well = platform.merchant(webhook_url=DEAD), platform.merchant(webhook_url=URL)
    resting(post, dead, DUE_PAGE * 3)
    ordinary = {post.placed(well).id for _ in range(2)}
    post.queue.waiting.clear()
    platform.clock.advance(61 + 60 * minute)
    pages = iter([False] * 3 + [True])
    report = post.sweep(must_stop=lambda: next(pages))
    assert not report.finished
    assert ordinary <= {order.id for order in post.queue.history[-report.queued :]}


# ------------------------------------------------------------ endpoints


def test_a_dead_endpoint_is_paused_and_does_not_block_another(either_world: Platform) -> None:
    platform = either_world
    http = FakeHttp(lambda url: Reply(status=200 if url == URL else None, failure="dead"))
    post = Post(platform, http)
    dead, well = platform.merchant(webhook_url=DEAD), platform.merchant(webhook_url=URL)
    for _ in range(12):
        post.placed(dead)
        post.placed(well)
    outcomes = post.pump()
    assert outcomes.count(DeliveryOutcome.DELIVERED) == 12
    assert outcomes.count(DeliveryOutcome.TO_RETRY) == FAILURES_TO_OPEN
    assert outcomes.count(DeliveryOutcome.POSTPONED) == 12 - FAILURES_TO_OPEN
    postponed = [row for row in post.deliveries() if row.status == "pending" and not row.attempts]
    assert len(postponed) == 12 - FAILURES_TO_OPEN
    health = post.health(dead, DEAD)
    assert health is not None
    assert health.open_until is not None
    assert all((row.next_retry or "") >= health.open_until for row in postponed)
    assert post.health(well, URL) is None  # a healthy endpoint costs no write
    tries = len([1 for url, _, _ in http.sent if url == DEAD])
    post.pass_time(platform.clock() + timedelta(minutes=4))
    after = len([1 for url, _, _ in http.sent if url == DEAD])
    assert after - tries <= 3  # one at the end of each pause


def test_a_recovered_endpoint_receives_everything_that_waited(platform: Platform) -> None:
    alive = False
    http = FakeHttp(lambda _: Reply(status=200 if alive else 500))
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(15)]
    post.pump()
    alive = True
    post.pass_time(platform.clock() + timedelta(minutes=10))
    assert {post.row(row.id).status for row in rows} == {WebhookStatus.DELIVERED}
    health = post.health(merchant, URL)
    assert health is not None
    assert (health.failures, health.open_until, health.opened) == (0, None, 0)


def test_after_a_pause_one_delivery_probes_the_endpoint(platform: Platform) -> None:
    http = FakeHttp(lambda _: Reply(status=500))
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(FAILURES_TO_OPEN + 6)]
    post.pump()
    waiting = [row for row in map(post.row, (r.id for r in rows)) if not row.attempts]
    platform.clock.advance(95)
    sent = len(http.sent)
    outcomes = at_once(
        *[lambda row=row: deliver(DeliveryOrder.of(row), post.deps()) for row in waiting]
    )
    assert sorted(map(str, outcomes)) == ["postponed"] * 5 + ["to_retry"]
    assert len(http.sent) == sent + 1


def test_a_probe_that_cannot_be_attempted_is_left_to_the_next_delivery(platform: Platform) -> None:
    """Without time it claims nothing; with a void message it releases the probe."""
    http = FakeHttp(lambda _: Reply(status=500))
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(FAILURES_TO_OPEN + 2)]
    post.pump()
    platform.clock.advance(95)
    first, second = (post.row(row.id) for row in rows[FAILURES_TO_OPEN:])
    rested = post.health(merchant, URL)
    with pytest.raises(Unavailable):
        deliver(DeliveryOrder.of(first), replace(post.deps(), has_time=lambda: False))
    assert post.health(merchant, URL) == rested
    deps = post.deps()
    was_read = deps.endpoints.take_probe

    def overtaken(health: EndpointHealth) -> EndpointHealth:
        gone_on = first.model_copy(update={"version": first.version + 1})
        post.webhooks.move(first, gone_on)
        return was_read(health)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(deps.endpoints, "take_probe", overtaken)
        assert deliver(DeliveryOrder.of(first), deps) is DeliveryOutcome.STALE
    assert deliver(DeliveryOrder.of(second), post.deps()) is DeliveryOutcome.TO_RETRY
    assert len(http.sent) == FAILURES_TO_OPEN + 1


def test_one_delivery_of_an_invocation_probes_and_the_endpoint_is_read_once(
    platform: Platform,
) -> None:
    http = FakeHttp(lambda _: Reply(status=500))
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    rows = [post.placed(merchant) for _ in range(FAILURES_TO_OPEN + 6)]
    post.pump()
    waiting = [row for row in map(post.row, (r.id for r in rows)) if not row.attempts]
    platform.clock.advance(95)
    client = platform.engine.dynamodb()
    reads: Counter[str] = Counter()

    def count(params: dict[str, Any], **_: object) -> None:
        key = json.loads(params["body"])["Key"]["id"]["S"]
        reads[key.partition("_")[0].partition("#")[0]] += 1

    client.meta.events.register("before-call.dynamodb.GetItem", count)
    deps = post.deps(platform.store_on(client))
    outcomes = at_once(*[lambda row=row: deliver(DeliveryOrder.of(row), deps) for row in waiting])
    assert sorted(map(str, outcomes)) == ["postponed"] * 5 + ["to_retry"]
    assert len(http.sent) == FAILURES_TO_OPEN + 1
    assert (reads["whk"], reads["mer"], reads["endpoint"]) == (6, 1, 1), reads
    deps.endpoints.forget()
    deps.endpoints.of(merchant.id)
    assert (reads["mer"], reads["endpoint"]) == (2, 2)


def test_410_stops_the_endpoint_until_a_redelivery_succeeds(either_world: Platform) -> None:
    platform = either_world
    http = failing(410)
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    first, second = post.placed(merchant), post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.FAILED, DeliveryOutcome.FAILED]
    assert len(http.sent) == 1
    assert (post.row(first.id).response_code, post.row(first.id).failure_reason) == (410, GONE)
    assert (post.row(second.id).attempts, post.row(second.id).failure_reason) == (0, GONE)
    third = post.placed(merchant, by_hand=True)
    assert post.pump() == [DeliveryOutcome.DELIVERED]
    assert post.row(third.id).by_hand is None
    fourth = post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.DELIVERED]
    assert post.row(fourth.id).status is WebhookStatus.DELIVERED


def test_an_older_attempt_answered_after_a_410_does_not_reactivate_the_endpoint(
    platform: Platform,
) -> None:
    def answered_late(_: str) -> Reply:
        post.placed(merchant)
        order = post.queue.due()
        assert order is not None
        assert deliver(order, post.deps(http=failing(410))) is DeliveryOutcome.FAILED
        return Reply(status=200)

    post = Post(platform, FakeHttp(answered_late))
    merchant = platform.merchant(webhook_url=URL)
    post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.DELIVERED]
    following = post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.FAILED]
    assert post.row(following.id).failure_reason == GONE


def test_410_is_kept_when_nothing_is_sent_for_long(platform: Platform) -> None:
    http = failing(410)
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    post.placed(merchant)
    post.pump()
    key = {"id": {"S": endpoint_id(merchant.id, URL)}}
    stored = platform.client.get_item(TableName=platform.tables["webhooks"], Key=key)["Item"]
    assert "expires_at" not in stored  # by which DynamoDB would delete it
    platform.clock.advance(timedelta(days=90).total_seconds())
    post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.FAILED]
    assert len(http.sent) == 1


def test_an_expired_pause_has_no_effect_although_its_row_remains(platform: Platform) -> None:
    post = Post(platform, FakeHttp(lambda _: Reply(status=500)))
    merchant = platform.merchant(webhook_url=URL)
    for _ in range(FAILURES_TO_OPEN):
        post.placed(merchant)
    post.pump()
    platform.clock.advance(HEALTH_KEPT.total_seconds() + 1)
    post.queue.waiting.clear()
    rows = [post.placed(merchant) for _ in range(2)]
    assert post.pump() == [DeliveryOutcome.TO_RETRY] * 2  # without one probing for the other
    assert [post.row(row.id).attempts for row in rows] == [1, 1]
    health = post.health(merchant, URL)
    assert health is not None
    assert (health.failures, health.opened, health.open_until) == (2, 0, None)


def test_another_url_of_the_merchant_is_another_endpoint_and_receives_what_waits(
    platform: Platform,
) -> None:
    http = FakeHttp(lambda url: Reply(status=410 if url == DEAD else 200))
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=DEAD)
    post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.FAILED]
    waiting = post.placed(merchant)
    change_merchant(platform, merchant.id, webhook_url=URL)
    assert post.pump() == [DeliveryOutcome.DELIVERED]
    assert post.row(waiting.id).url == URL
    change_merchant(platform, merchant.id, webhook_url=None)
    late = post.placed(merchant)
    assert post.pump() == [DeliveryOutcome.FAILED]
    assert post.row(late.id).failure_reason == NO_ENDPOINT


def test_during_a_secret_rotation_both_verify_and_then_only_the_new_one(
    platform: Platform,
) -> None:
    http = FakeHttp()
    post = Post(platform, http)
    until = to_timestamp(platform.clock() + timedelta(hours=24))
    merchant = platform.merchant(
        webhook_url=URL,
        webhook_secret=SECRET,
        previous_webhook_secrets=(PreviousSecret(secret=OLD_SECRET, until=until),),
    )
    post.placed(merchant)
    post.pump()
    platform.clock.advance(25 * 3600)
    post.placed(merchant)
    post.pump()
    (_, during, _), (_, after, _) = http.sent
    assert during["webhook-signature"].count("v1,") == 2
    assert after["webhook-signature"].count("v1,") == 1
    assert signatures(http.sent[0], SECRET, OLD_SECRET) == during["webhook-signature"].split()
    assert signatures(http.sent[1], SECRET) == after["webhook-signature"].split()


def signatures(sent: tuple[str, Mapping[str, str], bytes], *secrets: str) -> list[str]:
    """What the receivers' library signs with each of these secrets."""
    _, headers, body = sent
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    return [Verifier(each).sign(headers["webhook-id"], at, body.decode()) for each in secrets]


def test_a_payload_that_cannot_be_decrypted_ends_the_delivery_with_an_alert(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    post = Post(platform, FakeHttp())
    merchant = platform.merchant(webhook_url=URL)
    one, other = post.placed(merchant), post.placed(merchant)
    post.queue.waiting.clear()
    moved = platform.client.get_item(
        TableName=platform.tables["webhooks"], Key={"id": {"S": other.id}}, ConsistentRead=True
    )["Item"]["payload"]
    platform.client.update_item(
        TableName=platform.tables["webhooks"],
        Key={"id": {"S": one.id}},
        UpdateExpression="SET payload = :p",
        ExpressionAttributeValues={":p": moved},
    )
    assert deliver(DeliveryOrder.of(one), post.deps()) is DeliveryOutcome.STALE
    state = post.webhooks.state(one.id, UNRESTRICTED)
    assert state is not None
    assert state.status is WebhookStatus.FAILED
    assert "integrity_error" in caplog.messages


def test_endpoint_rows_are_not_deliveries(platform: Platform) -> None:
    post = Post(platform, failing(500))
    merchant = platform.merchant(webhook_url=URL)
    post.placed(merchant)
    post.pump()
    health = post.health(merchant, URL)
    assert health is not None
    assert post.webhooks.state(health.id, UNRESTRICTED) is None
    assert "hooks.example" not in health.id
    assert json.loads(new_row(platform, merchant).payload)
    assert len(post.deliveries()) == 1
    assert isinstance(post.deliveries()[0], Webhook)


def test_a_webhook_delivered_at_once_costs_two_writes_and_three_reads(
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
    assert (price.trips, price.read_units) == (5, 3), price
    assert price.requested == 6, price.units


def test_postponing_a_delivery_costs_three_units_and_queuing_it_again_three(
    platform: Platform,
) -> None:
    post = Post(platform, FakeHttp(lambda _: Reply(status=500)))
    merchant = platform.merchant(webhook_url=URL)
    for _ in range(FAILURES_TO_OPEN):
        post.placed(merchant)
    post.pump()
    client = platform.engine.dynamodb()
    store = platform.store_on(client)
    post.webhooks.get(post.placed(merchant).id)  # the key is cached
    for _ in range(2):  # the second time it is read from the index shard of postponed deliveries
        order = post.queue.due()
        assert order is not None
        turn = price_of(lambda o=order: deliver(o, post.deps(store)), client, platform.client)
        assert post.row(order.id).attempts == 0
        assert turn.requested == 3, turn.units
        rested = DueWebhook.model_validate(post.row(order.id).model_dump())
        put_off = price_of(
            lambda due=rested: WebhookRepository(store).put_off(
                due, to_timestamp(platform.clock()), to_timestamp(platform.clock())
            ),
            client,
            platform.client,
        )
        assert put_off.requested == 3, put_off.units
        post.queue.waiting.clear()
        post.queue.send(DeliveryOrder.of(post.row(order.id)))


def test_a_merchant_whose_secret_cannot_be_decrypted_is_reported_and_waits_until_fixed(
    platform: Platform,
) -> None:
    http = FakeHttp()
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    other = platform.merchant(webhook_url=URL)
    row = post.placed(merchant)
    table = platform.tables["merchants"]
    items = {each["id"]["S"]: each for each in platform.client.scan(TableName=table)["Items"]}
    swapped = {**items[merchant.id], "webhook_secret": items[other.id]["webhook_secret"]}
    platform.client.put_item(TableName=table, Item=swapped)
    assert post.pump() == [DeliveryOutcome.POSTPONED]
    assert http.sent == []
    (error,) = post.decryption_failed
    assert error.place is not None
    assert (error.place.key, error.place.attribute) == (merchant.id, "webhook_secret")
    waiting = post.row(row.id)
    assert (waiting.status, waiting.attempts) == (WebhookStatus.PENDING, 0)
    platform.client.put_item(TableName=table, Item=items[merchant.id])
    assert waiting.next_retry is not None
    post.pass_time(to_datetime(waiting.next_retry) + timedelta(minutes=2))
    assert post.row(row.id).status is WebhookStatus.DELIVERED


def test_a_delivery_that_cannot_be_decrypted_is_ended_and_reported(platform: Platform) -> None:
    http = FakeHttp()
    post = Post(platform, http)
    merchant = platform.merchant(webhook_url=URL)
    row = post.placed(merchant)
    platform.client.update_item(
        TableName=platform.tables["webhooks"],
        Key={"id": {"S": row.id}},
        UpdateExpression="SET payload = :p",
        ExpressionAttributeValues={":p": {"B": b"of another row"}},
    )
    assert post.pump() == [DeliveryOutcome.STALE]
    assert http.sent == []
    (error,) = post.decryption_failed
    assert error.place is not None
    assert error.place.key == row.id
    state = post.webhooks.state(row.id, UNRESTRICTED)
    assert state is not None
    assert state.status is WebhookStatus.FAILED
