"""Payments whose customer must authenticate, and the sandbox's page, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Shop
from tests.support.stages.patience import PATIENCE_SECONDS

BODY = {
    "amount": 1000,
    "currency": "USD",
    "payment_method": "tok_requires_action",
    "return_url": "https://shop.example/done?order=7",
}


def waiting(shop: Shop, key: str) -> dict[str, Any]:
    made: dict[str, Any] = shop.client.post("/v1/payments", BODY, key=key).require(202)
    assert made["status"] == "requires_action"
    return made


def test_a_customer_approves_on_the_page_once(shop: Shop) -> None:
    made = waiting(shop, "approved")
    url = made["next_action"]["url"]
    page = httpx.get(url, timeout=PATIENCE_SECONDS)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script" not in page.headers["content-security-policy"]
    assert "10.00" in page.text
    again = shop.client.post("/v1/payments", BODY, key="approved").require(202)
    assert (again["id"], again["client_secret"]) == (made["id"], made["client_secret"])
    decided = httpx.post(url, data={"decision": "approve"}, timeout=PATIENCE_SECONDS)
    assert decided.status_code == 303
    assert decided.headers["location"] == f"{BODY['return_url']}&payment_id={made['id']}"
    read = shop.client.get(f"/v1/payments/{made['id']}").require(200)
    assert (read["status"], read["amount_captured"]) == ("succeeded", 1000)
    assert not {"next_action", "client_secret"} & set(read)
    final = shop.client.post("/v1/payments", BODY, key="approved").require(201)
    assert (final["id"], final["status"]) == (made["id"], "succeeded")
    httpx.post(url, data={"decision": "fail"}, timeout=PATIENCE_SECONDS)
    assert shop.client.get(f"/v1/payments/{made['id']}").require(200)["status"] == "succeeded"


def test_a_customer_who_fails_on_the_page_pays_nothing(shop: Shop) -> None:
    made = waiting(shop, "failed")
    url = made["next_action"]["url"]
    decided = httpx.post(url, data={"decision": "fail"}, timeout=PATIENCE_SECONDS)
    assert decided.status_code == 303
    read = shop.client.get(f"/v1/payments/{made['id']}").require(200)
    assert (read["status"], read["amount_captured"]) == ("failed", 0)
    refusal = shop.client.post("/v1/payments", BODY, key="failed").require(402)
    assert refusal["decline_code"] == "authentication_failed"


@pytest.mark.parametrize("operation", ["capture", "refund"])
def test_a_waiting_payment_is_canceled_but_neither_captured_nor_refunded(
    shop: Shop, operation: str
) -> None:
    made = waiting(shop, f"canceled-{operation}")
    path = f"/v1/payments/{made['id']}"
    assert shop.client.post(f"{path}/{operation}", {}, key=f"x-{operation}").status == 409
    assert shop.client.post(f"{path}/cancel", {}, key=f"c-{operation}").status in {200, 202}
    httpx.post(made["next_action"]["url"], data={"decision": "approve"}, timeout=PATIENCE_SECONDS)
    read = shop.client.get(path).require(200)
    assert (read["status"], read["amount_captured"]) == ("canceled", 0)
