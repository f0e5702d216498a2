"""Several webhook endpoints of one merchant, as deployed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.webhooks.receiver import Receiver

pytestmark = pytest.mark.emulator("its endpoints are on this machine")

SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
PATH = "/v1/webhook-endpoints"
LONG = {"retry-after": "1000"}


def _created(shop: Shop, receiver: Receiver, events: list[str]) -> dict[str, Any]:
    body = {"url": receiver.url, "events": events}
    endpoint: dict[str, Any] = shop.client.post(PATH, body, key=events[0]).require(201)
    return endpoint


def _types(receiver: Receiver) -> list[str]:
    return [json.loads(each.body)["type"] for each in list(receiver.received)]


def _await(what: str, found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not found():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS} s"
        time.sleep(0.2)


def test_two_endpoints_have_filters_and_secrets_of_their_own_and_one_is_recovered(
    deployment: Deployment,
) -> None:
    shop = deployment.shop()
    with Receiver().running() as sales, Receiver(usual=(503, LONG)).running() as refunds:
        of_sales = _created(shop, sales, ["payment.succeeded"])
        of_refunds = _created(shop, refunds, ["refund.succeeded", "payment.failed"])
        shown = shop.client.get(f"{PATH}/{of_refunds['id']}").require(200)
        assert "secret" not in shown

        paid = shop.client.post("/v1/payments", SALE, key="sale").require(201)
        refunded = f"/v1/payments/{paid['id']}/refund"
        shop.client.post(refunded, {"amount": 300}, key="refund").require(200)
        _await("sale", lambda: "payment.succeeded" in _types(sales))
        _await("refund", lambda: "refund.succeeded" in _types(refunds))

        message = sales.received[0]
        Verifier(of_sales["secret"]).verify(message.body, dict(message.headers))
        with pytest.raises(WebhookVerificationError):
            Verifier(of_refunds["secret"]).verify(message.body, dict(message.headers))

        _await(
            "failed attempt",
            lambda: (
                shop.client.get(f"{PATH}/{of_refunds['id']}").body["health"]["condition"]
                != "healthy"
            ),
        )
        missed = refunds.received[0].headers["webhook-id"]
        refunds.usual = (200, {})
        count = len(refunds.received)
        recovered = f"{PATH}/{of_refunds['id']}/recover"
        shop.client.post(recovered, {"since": "2026-01-01"}, key="recover").require(200, 202)
        _await("recovered webhook", lambda: len(refunds.received) > count)
        assert refunds.received[-1].headers["webhook-id"] == missed

        test = f"{PATH}/{of_sales['id']}/test"
        shop.client.post(test, {}, key="test").require(200, 201, 202)
        _await("test event", lambda: "endpoint.test" in _types(sales))
        assert set(_types(sales)) == {"payment.succeeded", "endpoint.test"}
        assert set(_types(refunds)) == {"refund.succeeded"}
