"""Webhook endpoints through the functions: created, filtered, tested, recovered, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from runtime.functions.deliver import deliver_services
from runtime.merchants.webhook_endpoints import MAX_ENDPOINTS, first_endpoint_id
from runtime.webhooks.delivery import DELETED, DISABLED
from runtime.webhooks.delivery_queue import DeliveryOrder
from runtime.webhooks.http_sender import WebhookHttp
from tests.integration.webhooks.test_api import drained, placed
from tests.support.http import token_of
from tests.support.platform import at_once
from tests.support.stages.running_stage import Stage
from tests.support.webhooks.receiver import Receiver

PATH = "/v1/webhook-endpoints"
URL = "https://hooks.example/other"
SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}


@pytest.fixture
def receiver(stage: Stage) -> Iterator[Receiver]:
    """An endpoint on this machine, which the stage is allowed to call in tests."""
    object.__setattr__(
        deliver_services().deps, "http", WebhookHttp(allow_local=True, total_seconds=3.0)
    )
    with Receiver().running() as running:
        yield running


def created(stage: Stage, who: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = stage.api("POST", PATH, {"url": URL, **body}, authorizer=who)
    assert answer.status == 201, answer.text
    made: dict[str, Any] = answer.body
    return made


def moved(stage: Stage, endpoint: dict[str, Any], url: str) -> None:
    """Give the endpoint a URL on this machine, which the API refuses."""
    stage.dynamodb.update_item(
        TableName=stage.tables["webhook_endpoints"],
        Key={"id": {"S": endpoint["id"]}},
        UpdateExpression="SET #url = :url",
        ExpressionAttributeNames={"#url": "url"},
        ExpressionAttributeValues={":url": {"S": url}},
    )


def deliveries(stage: Stage, who: dict[str, str]) -> list[dict[str, Any]]:
    answer = stage.api("GET", "/v1/webhooks", query="limit=100", authorizer=who)
    assert answer.status == 200, answer.text
    listed: list[dict[str, Any]] = answer.body["data"]
    return listed


def work(stage: Stage) -> None:
    """Let the deliver function process what is queued."""
    for message in drained(stage):
        stage.api.deliver(message)


def test_an_endpoint_is_created_read_changed_and_deleted(stage: Stage) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    made = created(stage, who, events=["payment.succeeded"], description="Books")
    assert made["secret"].startswith("whsec_")
    assert (made["status"], made["version"]) == ("enabled", 1)
    assert made["health"] == {
        "condition": "healthy",
        "consecutive_failures": 0,
        "paused_until": None,
    }
    path = f"{PATH}/{made['id']}"
    shown = stage.api("GET", path, authorizer=who)
    assert shown.body == {name: value for name, value in made.items() if name != "secret"}
    listed = stage.api("GET", PATH, authorizer=who).body["data"]
    assert [each["id"] for each in listed] == [made["id"]]
    body = {"version": 1, "status": "disabled", "events": None, "url": f"{URL}/2"}
    changed = stage.api("PATCH", path, body, authorizer=who)
    assert (changed.status, changed.body["status"], changed.body["version"]) == (200, "disabled", 2)
    assert len(changed.body["events"]) > 10
    assert "endpoint.test" not in changed.body["events"]
    stale = stage.api("PATCH", path, body, authorizer=who)
    assert (stale.status, stale.body["code"]) == (409, "stale_version")
    anyway = stage.api("PATCH", path, {"description": None}, authorizer=who)
    assert (anyway.status, anyway.body["description"], anyway.body["version"]) == (200, None, 3)
    assert stage.api("DELETE", path, authorizer=who).status == 204
    assert stage.api("GET", path, authorizer=who).status == 404
    assert stage.api("DELETE", path, authorizer=who).status == 404
    assert stage.api("GET", PATH, authorizer=who).body["data"] == []


def test_the_webhook_url_is_the_first_endpoint(stage: Stage) -> None:
    shop = stage.shop(webhook_url="https://hooks.example/first")
    who = token_of(shop["id"])
    first = first_endpoint_id(shop["id"])
    made = created(stage, who)
    listed = stage.api("GET", PATH, query="limit=1", authorizer=who).body
    assert [each["id"] for each in listed["data"]] == [made["id"]]
    rest = stage.api("GET", PATH, query=f"limit=1&cursor={listed['next_cursor']}", authorizer=who)
    assert [each["id"] for each in rest.body["data"]] == [first]
    assert rest.body["next_cursor"] is None
    shown = stage.api("GET", f"{PATH}/{first}", authorizer=who).body
    assert shown["url"] == shop["webhook_url"]
    body = {"version": shown["version"], "url": "https://hooks.example/moved", "events": None}
    changed = stage.api("PATCH", f"{PATH}/{first}", body, authorizer=who)
    assert changed.status == 200, changed.text
    merchant = stage.api("GET", f"/v1/merchants/{shop['id']}", authorizer=who).body
    assert merchant["webhook_url"] == "https://hooks.example/moved"
    rotated = stage.api("POST", f"{PATH}/{first}/rotate-secret", {}, authorizer=who)
    assert rotated.status == 200
    assert rotated.body["secret"] != shop["webhook_secret"]
    assert stage.api("DELETE", f"{PATH}/{first}", authorizer=who).status == 204
    merchant = stage.api("GET", f"/v1/merchants/{shop['id']}", authorizer=who).body
    assert merchant["webhook_url"] is None
    assert stage.api("GET", f"{PATH}/{first}", authorizer=who).status == 404


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"url": "http://hooks.example/in"}, "url"),
        ({"url": "https://127.0.0.1/in"}, "url"),
        ({"url": "https://hooks.example/" + "a" * 1_024}, "url"),
        ({"events": []}, "events"),
        ({"events": ["payment.lost"]}, "events.0"),
        ({"events": ["endpoint.test"]}, "events.0"),
    ],
)
def test_an_endpoint_that_is_not_valid_is_refused(
    stage: Stage, changes: dict[str, Any], param: str
) -> None:
    who = token_of(stage.shop()["id"])
    refused = stage.api("POST", PATH, {"url": URL, **changes}, authorizer=who)
    assert (refused.status, refused.body["param"]) == (422, param), refused.text
    if param == "events.0":
        assert "payment.succeeded" in refused.body["detail"]


def test_an_endpoint_belongs_to_its_merchant_alone(stage: Stage) -> None:
    shop, other = stage.shop(), stage.shop()
    made = created(stage, token_of(shop["id"]))
    path, stranger = f"{PATH}/{made['id']}", token_of(other["id"])
    requests: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PATCH", path, {"version": 1, "status": "disabled"}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", {}),
        ("POST", f"{path}/rotate-secret", {}),
        ("POST", f"{path}/recover", {"since": "2026-01-01"}),
    ]
    for method, where, body in requests:
        assert stage.api(method, where, body, authorizer=stranger).status == 404, where
    forbidden = stage.api("GET", path, authorizer=token_of(shop["id"], "payments"))
    assert forbidden.status == 403
    by_operator = stage.api("POST", PATH, {"url": URL, "merchant_id": shop["id"]})
    assert by_operator.body["merchant_id"] == shop["id"]


def test_a_repeated_request_creates_one_endpoint_and_repeats_its_secret(stage: Stage) -> None:
    who = token_of(stage.shop()["id"])
    headers = {"idempotency-key": "k1"}
    one, two = (
        stage.api("POST", PATH, {"url": URL}, headers=headers, authorizer=who) for _ in range(2)
    )
    assert one.body == two.body
    assert len(stage.api("GET", PATH, authorizer=who).body["data"]) == 1


def test_the_maximum_number_of_endpoints_holds_under_concurrency(stage: Stage) -> None:
    who = token_of(stage.shop()["id"])
    for _ in range(MAX_ENDPOINTS - 3):
        created(stage, who)
    post = [lambda: stage.api("POST", PATH, {"url": URL}, authorizer=who)] * 6
    answers = [each for each in at_once(*post) if not isinstance(each, Exception)]
    statuses = sorted(each.status for each in answers)
    assert statuses == [201, 201, 409, 409, 409, 409]
    codes = {each.body["code"] for each in answers if each.status == 409}
    assert codes == {"endpoint_limit_reached"}
    listed = stage.api("GET", PATH, query="limit=100", authorizer=who).body["data"]
    assert len(listed) == MAX_ENDPOINTS - 1


def test_each_endpoint_receives_its_events_under_its_own_secret(
    stage: Stage, receiver: Receiver
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    both = created(stage, who)
    refunds = created(stage, who, events=["refund.succeeded"])
    for each in (both, refunds):
        moved(stage, each, f"{receiver.url}&{each['id']}")
    paid = stage.api("POST", "/v1/payments", SALE, headers={"idempotency-key": "p"}, authorizer=who)
    assert paid.status == 201, paid.text
    stage.project_payments()
    assert [each["endpoint_id"] for each in deliveries(stage, who)] == [both["id"]]
    tested = stage.api("POST", f"{PATH}/{refunds['id']}/test", authorizer=who)
    assert (tested.status, tested.body["event_type"]) == (202, "endpoint.test")
    work(stage)
    for request in receiver.received:
        secret = both["secret"] if both["id"] in request.path else refunds["secret"]
        body = Verifier(secret).verify(request.body, dict(request.headers))
        assert request.headers["webhook-id"] == body["id"]
    types = {
        each.path.rpartition("&")[2]: json.loads(each.body)["type"] for each in receiver.received
    }
    assert types == {both["id"]: "payment.succeeded", refunds["id"]: "endpoint.test"}


def test_what_a_disabled_endpoint_missed_is_recovered_once_it_is_enabled(
    stage: Stage, receiver: Receiver
) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    made = created(stage, who)
    moved(stage, made, receiver.url)
    path = f"{PATH}/{made['id']}"
    stage.api("PATCH", path, {"version": 1, "status": "disabled"}, authorizer=who)
    rows = [placed(stage, shop, number, endpoint_id=made["id"]) for number in range(3)]
    for row in rows:
        stage.api.deliver((row.id, DeliveryOrder.of(row).model_dump_json()))
    listed = deliveries(stage, who)
    assert {(each["status"], each["failure_reason"]) for each in listed} == {("failed", DISABLED)}
    since = {"since": rows[1].created_at}
    refused = stage.api("POST", f"{path}/recover", since, authorizer=who)
    assert (refused.status, refused.body["code"]) == (409, "invalid_state")
    enabled = stage.api("PATCH", path, {"version": 2, "status": "enabled"}, authorizer=who)
    assert enabled.status == 200, enabled.text
    headers = {"idempotency-key": "r"}
    answers = [
        stage.api("POST", f"{path}/recover", since, headers=headers, authorizer=who)
        for _ in range(2)
    ]
    assert [each.body for each in answers] == [{"recovered": 2, "has_more": False}] * 2
    again = stage.api("POST", f"{path}/recover", since, authorizer=who)
    assert again.body["recovered"] == 0
    work(stage)
    received = {request.headers["webhook-id"] for request in receiver.received}
    assert received == {rows[1].id, rows[2].id}
    wrong = stage.api("POST", f"{path}/recover", {"since": "2026-02-31"}, authorizer=who)
    assert (wrong.status, wrong.body["param"]) == (422, "since")


def test_webhooks_that_wait_for_a_deleted_endpoint_expire(stage: Stage, receiver: Receiver) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    made = created(stage, who)
    moved(stage, made, receiver.url)
    receiver.usual = (500, {})
    waiting, fresh = (placed(stage, shop, number, endpoint_id=made["id"]) for number in range(2))
    stage.api.deliver((waiting.id, DeliveryOrder.of(waiting).model_dump_json()))
    drained(stage)
    assert stage.api("DELETE", f"{PATH}/{made['id']}", authorizer=who).status == 204
    state = stage.api("GET", f"/v1/webhooks/{waiting.id}", authorizer=who).body
    assert (state["status"], state["failure_reason"]) == ("expired", DELETED)
    stage.api.deliver((fresh.id, DeliveryOrder.of(fresh).model_dump_json()))
    state = stage.api("GET", f"/v1/webhooks/{fresh.id}", authorizer=who).body
    assert (state["status"], state["failure_reason"]) == ("expired", DELETED)
    assert len(receiver.received) == 1
