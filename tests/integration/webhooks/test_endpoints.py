"""Endpoints that are paused, probed, gone, or recover; secrets and costs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from benchmarks.bill.prices import price_of
from runtime.core.errors import Unavailable
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.merchants.models import PreviousSecret
from runtime.merchants.repository import MerchantRepository
from runtime.merchants.webhook_endpoints import first_endpoint_id
from runtime.webhooks.delivery import (
    GONE,
    NO_ENDPOINT,
    DeliveryOutcome,
    deliver,
)
from runtime.webhooks.delivery_queue import DeliveryOrder
from runtime.webhooks.http_sender import Reply
from runtime.webhooks.models import EndpointHealth, Webhook, WebhookStatus, health_id
from runtime.webhooks.repository import DueWebhook, WebhookRepository
from runtime.webhooks.schedule import FAILURES_TO_OPEN, HEALTH_KEPT
from tests.support.platform import Platform, at_once
from tests.support.webhooks.deliveries import FakeHttp, Post, new_row
from tests.support.webhooks.failing_endpoints import DEAD, OLD_SECRET, SECRET, URL, failing


def change_merchant(platform: Platform, merchant_id: str, **changes: Any) -> None:
    repository = MerchantRepository(platform.store)
    before = repository.get(merchant_id, UNRESTRICTED)
    assert before is not None
    after = before.model_copy(update={**changes, "version": before.version + 1})
    repository.alter(before, after, None, token=f"t-{before.version}", now=platform.clock())


# ------------------------------------------------------------ endpoints


class Lagging:
    """The client of an engine whose eventually consistent reads of a table are `behind`."""

    def __init__(self, client: Any, behind: dict[str, Any]) -> None:
        self._client, self._behind = client, behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_item(self, **request: Any) -> Any:
        if request["TableName"] in self._behind and not request["ConsistentRead"]:
            item = self._behind[request["TableName"]]
            return {} if item is None else {"Item": item}
        return self._client.get_item(**request)


@pytest.mark.parametrize("lags", [{"merchants": None}, {"merchants": "before its URL"}])
def test_an_endpoint_that_a_lagging_read_lacks_is_read_again(
    platform: Platform, lags: dict[str, Any]
) -> None:
    http = FakeHttp()
    merchant = platform.merchant(webhook_url=URL)
    table = platform.tables["merchants"]
    item = platform.client.get_item(TableName=table, Key={"id": {"S": merchant.id}})["Item"]
    before = {name: value for name, value in item.items() if name != "webhook_url"}
    behind = {table: None if lags["merchants"] is None else before}
    post = Post(platform, http)
    store = platform.store_on(Lagging(platform.client, behind))
    row = post.placed(merchant)
    assert deliver(DeliveryOrder.of(row), post.deps(store)) is DeliveryOutcome.DELIVERED


def test_an_endpoint_that_is_not_gone_any_more_ends_no_delivery(platform: Platform) -> None:
    http = FakeHttp()
    merchant = platform.merchant(webhook_url=URL)
    health = {
        "id": {"S": health_id(merchant.id, first_endpoint_id(merchant.id), URL)},
        "merchant_id": {"S": merchant.id},
        "version": {"N": "1"},
        "gone_at": {"S": to_timestamp(platform.clock())},
        "updated_at": {"S": to_timestamp(platform.clock())},
    }
    post = Post(platform, http)
    row = post.placed(merchant)
    store = platform.store_on(Lagging(platform.client, {platform.tables["webhooks"]: health}))
    assert deliver(DeliveryOrder.of(row), post.deps(store)) is DeliveryOutcome.DELIVERED


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
    assert (reads["whk"], reads["mer"], reads["endpoint"]) == (6, 1, 2), reads
    deps.endpoints.forget()
    deps.endpoints.of(merchant.id, first_endpoint_id(merchant.id))
    assert (reads["mer"], reads["endpoint"]) == (2, 4)


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
    key = {"id": {"S": health_id(merchant.id, first_endpoint_id(merchant.id), URL)}}
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


def test_postponing_a_delivery_costs_four_units_then_three_and_queuing_it_again_three(
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
    # The first time it enters the index of what its endpoint has not accepted; the second time it
    # is read from the index shard of postponed deliveries.
    for units in (4, 3):
        order = post.queue.due()
        assert order is not None
        turn = price_of(lambda o=order: deliver(o, post.deps(store)), client, platform.client)
        assert post.row(order.id).attempts == 0
        assert turn.requested == units, turn.units
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
