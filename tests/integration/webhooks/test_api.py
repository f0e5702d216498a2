"""Webhooks as merchants see them, through the functions: lists, details, and redelivery."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.index_shards import bucket_for, retry_bucket
from runtime.functions.composition.process_services import process_services
from runtime.functions.deliver import deliver_services
from runtime.webhooks.delivery_queue import DeliveryOrder
from runtime.webhooks.http_sender import WebhookHttp
from runtime.webhooks.models import Webhook, WebhookStatus, event_key
from tests.support.http import token_of
from tests.support.outside import new_id
from tests.support.platform import SETUP
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.stages.running_stage import Stage
from tests.support.webhooks.receiver import Receiver, misbehaving, never_answers

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def receiver(stage: Stage) -> Iterator[Receiver]:
    """An endpoint on this machine, which the stage is allowed to call in tests."""
    deps = deliver_services().deps
    object.__setattr__(deps, "http", WebhookHttp(allow_local=True, total_seconds=3.0))
    with Receiver().running() as running:
        yield running


def placed(stage: Stage, merchant: dict[str, Any], number: int = 0, **changes: Any) -> Webhook:
    """A delivery as the projection makes it, `number` seconds after NOW."""
    moment = NOW + timedelta(seconds=number)
    webhook_id = new_id("whk", moment)
    kind = changes.get("event_type", "payment.succeeded")
    row = Webhook(
        **{
            "id": webhook_id,
            "merchant_id": merchant["id"],
            "merchant_bucket": bucket_for(merchant["id"], webhook_id, merchant["index_buckets"]),
            "event_key": event_key(kind, webhook_id),
            "retry_bucket": retry_bucket(webhook_id),
            "next_retry": to_timestamp(moment),
            "event_type": kind,
            "sequence": 2,
            "payment_id": "pay_1",
            "url": "http://127.0.0.1:1/",
            "payload": json.dumps({"id": webhook_id}),
            "expires_at": to_epoch_seconds(NOW + timedelta(days=3)),
            "created_at": to_timestamp(moment),
            "updated_at": to_timestamp(moment),
            **SETUP.stamp(),
            **changes,
        }
    )
    item = process_services().store.codec.to_item(row)
    stage.dynamodb.put_item(TableName=stage.tables["webhooks"], Item=item)
    return row


def drained(stage: Stage) -> list[tuple[str, str]]:
    """The messages in the queue, removed from it."""
    sqs = stage.aws.client("sqs")
    found: list[tuple[str, str]] = []
    while True:
        answer = sqs.receive_message(
            QueueUrl=stage.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        for each in answer.get("Messages", []):
            found.append((each["MessageId"], each["Body"]))
            sqs.delete_message(QueueUrl=stage.queue_url, ReceiptHandle=each["ReceiptHandle"])
        if not answer.get("Messages"):
            return found


def get(stage: Stage, path: str, who: dict[str, str], query: str = "") -> Any:
    return stage.api("GET", path, query=query, authorizer=who)


def pages_of(stage: Stage, who: dict[str, str], query: str) -> list[str]:
    """Ids of all pages of a list, which must be newest first."""
    found: list[str] = []
    cursor = ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = get(stage, "/v1/webhooks", who, query + more)
        assert page.status == 200, page.text
        found += [each["id"] for each in page.body["data"]]
        cursor = page.body["next_cursor"]
        if not cursor:
            assert found == sorted(found, reverse=True)
            return found


def test_a_list_is_newest_first_across_types_and_buckets(stage: Stage) -> None:
    shop = stage.shop(index_buckets=4)
    who = token_of(shop["id"])
    kinds = ("payment.succeeded", "refund.failed", "account.locked")
    rows = [placed(stage, shop, n, event_type=kinds[n % 3]) for n in range(14)]
    other = stage.shop()
    placed(stage, other, 99)
    newest = [row.id for row in reversed(rows)]
    assert pages_of(stage, who, "limit=4") == newest
    refunds = [row.id for row in reversed(rows) if row.event_type == "refund.failed"]
    assert pages_of(stage, who, "limit=2&event_type=refund.failed") == refunds
    assert pages_of(stage, who, "status=delivered") == []
    assert pages_of(stage, who, "limit=5&status=pending") == newest
    first = get(stage, "/v1/webhooks", who, "limit=1").body["data"][0]
    assert set(first) == {
        "id",
        "merchant_id",
        "endpoint_id",
        "request_id",
        "event_type",
        "sequence",
        "payment_id",
        "url",
        "status",
        "attempts",
        "last_attempt",
        "next_retry",
        "response_code",
        "failure_reason",
        "expires_at",
        "version",
        "created_at",
        "updated_at",
    }
    assert first["expires_at"] == to_timestamp(NOW + timedelta(days=3))
    cursor = get(stage, "/v1/webhooks", who, "limit=1").body["next_cursor"]
    stolen = get(stage, "/v1/webhooks", token_of(other["id"]), f"limit=1&cursor={cursor}")
    assert (stolen.status, stolen.body["code"]) == (400, "bad_cursor")
    bad = get(stage, "/v1/webhooks", who, "event_type=payment.lost")
    assert (bad.status, bad.body["param"]) == (422, "event_type")


def test_a_webhook_is_visible_only_to_its_merchant(stage: Stage) -> None:
    shop, other = stage.shop(), stage.shop()
    row = placed(stage, shop)
    path = f"/v1/webhooks/{row.id}"
    assert get(stage, path, token_of(shop["id"], "reports")).body["id"] == row.id
    assert get(stage, path, token_of(shop["id"], "payments")).status == 403
    assert get(stage, path, token_of(other["id"])).status == 404
    assert stage.api("GET", path).body["id"] == row.id  # an operator
    assert get(stage, "/v1/webhooks/whk_none", token_of(shop["id"])).status == 404
    refused = stage.api("POST", f"{path}/redeliver", authorizer=token_of(other["id"]))
    assert refused.status == 404


def test_an_expired_final_webhook_is_hidden_before_dynamodb_deletes_it(stage: Stage) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    past = to_epoch_seconds(NOW - timedelta(seconds=5))
    final = {"status": "delivered", "retry_bucket": None, "next_retry": None}
    row = placed(stage, shop, expires_at=past, **final)
    assert get(stage, f"/v1/webhooks/{row.id}", who).status == 404
    assert get(stage, "/v1/webhooks", who).body["data"] == []
    again = stage.api("POST", f"/v1/webhooks/{row.id}/redeliver", authorizer=who)
    assert again.status == 404


def test_a_failed_webhook_is_redelivered_on_request_under_its_id(
    stage: Stage, receiver: Receiver
) -> None:
    secret = "whsec_" + "c2VjcmV0" * 6
    shop = stage.shop(webhook_secret=secret)
    store = process_services().store
    store.client.update_item(
        TableName=stage.tables["merchants"],
        Key={"id": {"S": shop["id"]}},
        UpdateExpression="SET webhook_url = :u",
        ExpressionAttributeValues={":u": {"S": receiver.url}},
    )
    who = token_of(shop["id"], "reports")
    failed = {"status": "failed", "retry_bucket": None, "next_retry": None, "attempts": 3}
    row = placed(stage, shop, response_code=410, **failed)
    drained(stage)
    path = f"/v1/webhooks/{row.id}/redeliver"
    key = {"idempotency-key": uuid.uuid4().hex}
    answer = stage.api("POST", path, authorizer=who, headers=key)
    assert answer.status == 202, answer.text
    assert (answer.body["status"], answer.body["attempts"]) == ("pending", 3)
    assert answer.body["next_retry"] is not None
    repeated = stage.api("POST", path, authorizer=who, headers=key)
    assert (repeated.status, repeated.body) == (202, answer.body)
    assert repeated.headers["Idempotent-Replayed"] == "true"
    (message,) = drained(stage)
    assert stage.api.deliver(message) == {"batchItemFailures": []}
    assert stage.api.deliver(message) == {"batchItemFailures": []}  # SQS hands it out again
    (request,) = receiver.received
    assert Verifier(secret).verify(request.body, dict(request.headers)) == {"id": row.id}
    assert request.headers["webhook-id"] == row.id
    shown = get(stage, f"/v1/webhooks/{row.id}", who).body
    assert (shown["status"], shown["attempts"], shown["response_code"]) == ("delivered", 4, 200)
    assert shown["url"] == receiver.url


def test_due_webhooks_are_queued_by_the_schedule_and_a_bad_message_blocks_none(
    stage: Stage, receiver: Receiver
) -> None:
    shop = stage.shop()
    process_services().store.client.update_item(
        TableName=stage.tables["merchants"],
        Key={"id": {"S": shop["id"]}},
        UpdateExpression="SET webhook_url = :u",
        ExpressionAttributeValues={":u": {"S": receiver.url}},
    )
    rows = [placed(stage, shop, -61 - n) for n in range(12)]
    report = stage.api.queue_retries()
    assert report["queued"] >= 12
    assert (report["failed"], report["finished"]) == (0, True)
    mine = {row.id for row in rows}
    messages = [each for each in drained(stage) if json.loads(each[1])["id"] in mine]
    assert len(messages) == 12
    stage.api.queue_retries()  # Webhooks of other tests may have become due by now.
    assert not mine & {json.loads(each[1])["id"] for each in drained(stage)}
    answer = stage.api.deliver(*messages[:9], ("bad", "no json"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    stage.api.deliver(*messages[9:])
    assert {request.headers["webhook-id"] for request in receiver.received} == mine
    who = token_of(shop["id"])
    assert set(pages_of(stage, who, f"status={WebhookStatus.DELIVERED}")) == mine


def test_a_slow_endpoint_in_a_batch_delays_only_itself(stage: Stage, receiver: Receiver) -> None:
    """Nine webhooks of one merchant are delivered while another's endpoint does not answer."""
    quick, slow = stage.shop(), stage.shop()
    seen: list[float] = []
    receiver.before_answer = lambda _: seen.append(time.monotonic())
    hung_up: list[float] = []

    def says_nothing(connection: socket.socket) -> None:
        try:
            never_answers(connection)
        finally:
            hung_up.append(time.monotonic())

    with misbehaving(says_nothing) as port:
        for shop, url in ((quick, receiver.url), (slow, f"http://127.0.0.1:{port}/")):
            process_services().store.client.update_item(
                TableName=stage.tables["merchants"],
                Key={"id": {"S": shop["id"]}},
                UpdateExpression="SET webhook_url = :u",
                ExpressionAttributeValues={":u": {"S": url}},
            )
        rows = [placed(stage, slow), *(placed(stage, quick, n) for n in range(9))]
        messages = [
            (row.id, DeliveryOrder(id=row.id, version=1, merchant_id="m").model_dump_json())
            for row in rows
        ]
        assert stage.api.deliver(*messages) == {"batchItemFailures": []}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not hung_up and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(seen) == 9
    assert min(seen) < hung_up[0], "the others did not wait for the slow one's three seconds"
    waits = get(stage, f"/v1/webhooks/{rows[0].id}", token_of(slow["id"])).body
    assert (waits["status"], waits["attempts"]) == ("pending", 1)
    assert waits["failure_reason"] == "no answer within 3 s"
