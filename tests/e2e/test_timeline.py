"""The timeline of a payment on a deployed stage: complete, in order, and only for its owner."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS


def refunded(shop: Shop) -> str:
    """A payment that is authorized, captured in part, and refunded in part."""
    body = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
    manual = {**body, "capture_method": "manual"}
    made = shop.client.post("/v1/payments", manual, key=uuid4().hex).require(201)
    path = f"/v1/payments/{made['id']}"
    shop.client.post(f"{path}/capture", {"amount": 800}, key=uuid4().hex).require(200)
    shop.client.post(f"{path}/refund", {"amount": 100}, key=uuid4().hex).require(200)
    identifier: str = made["id"]
    return identifier


def titles(timeline: Any, kind: str) -> list[str]:
    return [each["title"] for each in timeline["events"] if each["kind"] == kind]


def settled(shop: Shop, payment_id: str, webhooks: set[str]) -> Any:
    """The timeline once it has these webhooks, and the audit row of the payment's last change."""
    path = f"/v1/payments/{payment_id}"
    version = shop.client.get(path).require(200)["version"]
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        timeline = shop.client.get(f"{path}/timeline").require(200)
        audited = [each["sequence"] for each in timeline["events"] if each["id"] == payment_id]
        if set(titles(timeline, "webhook")) >= webhooks and f"{version:012d}" in audited:
            return timeline
        assert time.monotonic() < until, timeline
        time.sleep(0.3)


def test_a_timeline_has_everything_that_is_recorded_about_a_payment(
    deployment: Deployment,
) -> None:
    shop = deployment.shop(webhook_url="https://hooks.example.com/timeline")
    payment_id = refunded(shop)
    expected = {"payment.requires_capture", "payment.succeeded", "refund.succeeded"}
    timeline = settled(shop, payment_id, expected)
    assert (timeline["payment_id"], timeline["complete"]) == (payment_id, True)
    times = [each["at"] for each in timeline["events"]]
    assert times == sorted(times)
    assert titles(timeline, "created") == ["Payment created"]
    assert set(titles(timeline, "transaction")) >= {
        "Authorization succeeded",
        "Capture succeeded",
        "Refund succeeded",
    }
    postings = [each for each in timeline["events"] if each["kind"] == "posting"]
    assert {each["status"] for each in postings} == {"processed"}
    assert sorted(each["amount"] for each in postings) == [100, 800]
    for each in postings:
        posted = shop.client.get(f"/v1/transfers/{each['id']}").require(200)
        assert posted["amount"] == each["amount"]
    delivered = [each for each in timeline["events"] if each["kind"] == "webhook"]
    listed = shop.client.get("/v1/webhooks", limit=100).require(200)["data"]
    assert {each["id"] for each in delivered} == {
        each["id"] for each in listed if each["payment_id"] == payment_id
    }
    audited = [each for each in timeline["events"] if each["kind"] == "audit"]
    rows = shop.client.get("/v1/audit", entity_id=payment_id, limit=100).require(200)["data"]
    assert {row["sequence"] for row in rows} == {
        each["sequence"] for each in audited if each["id"] == payment_id
    }
    assert all(each["request_id"].startswith("req_") for each in audited)


def test_a_timeline_is_its_merchants_and_an_operators(deployment: Deployment, shop: Shop) -> None:
    payment_id = refunded(shop)
    path = f"/v1/payments/{payment_id}/timeline"
    stranger = deployment.shop()
    assert stranger.client.get(path).status == 404
    assert deployment.client(shop.merchant_id, "payments").get(path).status == 403
    assert deployment.client(shop.merchant_id, "reports").get(path).status == 200
    seen = deployment.operator.get(path).require(200)
    assert seen["payment_id"] == payment_id
    acting = deployment.operator.get(path, merchant_id=stranger.merchant_id)
    assert acting.status == 404
