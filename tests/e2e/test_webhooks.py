"""Merchants receive webhooks: streams, projector, queue, sender and endpoint, as deployed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook as Verifier

from local.api_client import ApiClient
from local.auth import MERCHANT_PERMISSIONS
from local.schedules import tick
from tests.e2e.conftest import Deployment
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.webhooks.receiver import Received, Receiver

pytestmark = pytest.mark.emulator("its endpoints are on this machine")

SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}


def _shop(deployment: Deployment, url: str) -> tuple[ApiClient, str, str]:
    """A merchant with an endpoint: its client, its id, its secret."""
    body = {"name": "Shop", "email": f"{uuid4().hex}@shops.example", "webhook_url": url}
    merchant = deployment.operator.post("/v1/merchants", body).require(201)
    client = deployment.client(merchant["id"], *MERCHANT_PERMISSIONS)
    return client, merchant["id"], merchant["webhook_secret"]


def _await(what: str, found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        it = found()
        if it:
            return it
        time.sleep(0.2)
    raise AssertionError(f"no {what} within {PATIENCE_SECONDS} s")


def _verified(request: Received, secret: str) -> dict[str, Any]:
    body: dict[str, Any] = Verifier(secret).verify(request.body, dict(request.headers))
    assert request.headers["webhook-id"] == body["id"]
    return body


def _of_type(receiver: Receiver, kind: str) -> list[Received]:
    return [each for each in list(receiver.received) if json.loads(each.body)["type"] == kind]


def test_a_payment_and_its_refund_arrive_signed_and_can_be_ordered(
    deployment: Deployment,
) -> None:
    with Receiver().running() as receiver:
        client, merchant_id, secret = _shop(deployment, receiver.url)
        payment = client.post("/v1/payments", SALE, key=uuid4().hex).require(201)
        (request,) = _await("webhook", lambda: _of_type(receiver, "payment.succeeded"))
        body = _verified(request, secret)
        assert body["data"] == payment
        assert body["sequence"] == payment["version"]
        refunded = client.post(f"/v1/payments/{payment['id']}/refund", {"amount": 300}, key="r")
        refunded.require(200)
        (request,) = _await("webhook", lambda: _of_type(receiver, "refund.succeeded"))
        refund = _verified(request, secret)["data"]
        assert (refund["payment_id"], refund["amount"]) == (payment["id"], 300)
        declined = {**SALE, "payment_method": "tok_declined"}
        client.post("/v1/payments", declined, key=uuid4().hex).require(402)
        (request,) = _await("webhook", lambda: _of_type(receiver, "payment.failed"))
        assert _verified(request, secret)["data"]["failure_code"] == "generic_decline"

        def delivered() -> Any:
            page = client.get("/v1/webhooks", status="delivered").require(200)["data"]
            return page if len(page) == 3 else None

        listed = _await("delivered webhooks", delivered)
        assert [each["event_type"] for each in listed] == [
            "payment.failed",
            "refund.succeeded",
            "payment.succeeded",
        ]
        assert {each["merchant_id"] for each in listed} == {merchant_id}
        assert {(each["attempts"], each["response_code"]) for each in listed} == {(1, 200)}


def test_a_failed_delivery_is_retried_automatically_and_on_request(deployment: Deployment) -> None:
    with Receiver(script=[(500, {})]).running() as receiver:
        client, _, secret = _shop(deployment, receiver.url)
        client.post("/v1/payments", SALE, key=uuid4().hex).require(201)
        _await("second attempt", lambda: len(receiver.received) >= 2)
        first, second = receiver.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        _verified(second, secret)
        path = f"/v1/webhooks/{second.headers['webhook-id']}"

        def is_delivered() -> Any:
            row = client.get(path).require(200)
            return row if row["status"] == "delivered" else None

        assert _await("delivered webhook", is_delivered)["attempts"] == 2
        again = client.post(f"{path}/redeliver", {}).require(202)
        assert again["status"] == "pending"
        _await("third attempt", lambda: len(receiver.received) >= 3)
        assert receiver.received[2].body == first.body
        assert _await("delivered webhook", is_delivered)["attempts"] == 3


def test_a_lost_delivery_is_queued_by_the_schedule(deployment: Deployment) -> None:
    with Receiver(script=[(503, {"retry-after": "1000"})]).running() as receiver:
        client, _, _ = _shop(deployment, receiver.url)
        client.post("/v1/payments", SALE, key=uuid4().hex).require(201)
        _await("first attempt", lambda: receiver.received)
        webhook_id = receiver.received[0].headers["webhook-id"]
        path = f"/v1/webhooks/{webhook_id}"

        def waits() -> Any:
            row = client.get(path).require(200)
            return row if row["response_code"] == 503 and row["status"] == "pending" else None

        _await("waiting webhook", waits)
        table = deployment.stack.tables["webhooks"]
        deployment.aws.dynamodb.update_item(
            TableName=table,
            Key={"id": {"S": webhook_id}},
            UpdateExpression="SET next_retry = :now",
            ExpressionAttributeValues={":now": {"S": "2026-01-01T00:00:00.000Z"}},
        )
        report, _ = tick(deployment.stack, "retries")
        assert report["failed"] == 0
        _await("second attempt", lambda: len(receiver.received) >= 2)
        assert receiver.received[1].headers["webhook-id"] == webhook_id
