"""A machine client's API key on the deployed stack: created, used, revoked, refused."""

from __future__ import annotations

import time

import pytest

from local.api_client import ApiClient, Reply
from runtime.settings.access import LONGEST_CACHE_SECONDS
from tests.e2e.conftest import Deployment, Shop

LOCAL_CACHE_SECONDS = 5
"""`auth.cache_seconds` of the stage local: how long a route may accept a revoked key."""
MARGIN_SECONDS = 10
REFUSED = 401


@pytest.mark.slow
def test_a_key_serves_its_machine_client_until_it_is_revoked(
    deployment: Deployment, shop: Shop
) -> None:
    operator = deployment.operator
    body = {
        "merchant_id": shop.merchant_id,
        "name": "till 1",
        "permissions": ["payments", "transfers"],
    }
    made = operator.post("/v1/api-keys", body).require(201)
    workload = ApiClient(deployment.stack.api_url, made["secret"])
    sale = {"amount": 700, "currency": "USD", "payment_method": "tok_approved"}
    payment = workload.post("/v1/payments", sale, key="till-1").require(201)
    assert payment["merchant_id"] == shop.merchant_id
    listed = workload.get("/v1/payments").require(200)
    assert [row["id"] for row in listed["data"]] == [payment["id"]]
    assert workload.get("/v1/settlements").require(403)["code"] == "forbidden"
    assert workload.get("/v1/api-keys").require(403)["code"] == "forbidden"
    # On a deployed stage the shop's own client has a key as well.
    keys = operator.get("/v1/api-keys", merchant_id=shop.merchant_id).require(200)["data"]
    (row,) = (each for each in keys if each["id"] == made["id"])
    assert row["last_used_at"] is not None
    assert "secret" not in row

    revoked = operator.post(f"/v1/api-keys/{made['id']}/revoke", {}).require(200)
    assert revoked["revoked_at"] is not None
    # Nothing was cached for this route, so the revocation takes effect at once.
    assert workload.get("/v1/transfers").status == REFUSED
    # What a deployed stage has set is not known here.
    cached = LOCAL_CACHE_SECONDS if deployment.caller is None else LONGEST_CACHE_SECONDS
    assert _refused_within(workload, cached + MARGIN_SECONDS).status == REFUSED


def test_an_unknown_key_is_refused(deployment: Deployment, shop: Shop) -> None:
    made = deployment.operator.post(
        "/v1/api-keys",
        {"merchant_id": shop.merchant_id, "name": "till", "permissions": ["payments"]},
    ).require(201)
    secret: str = made["secret"]
    for wrong in (secret[:-1], secret[:-6] + "AAAAAA", f"sk_{'0' * 12}{secret[15:]}"):
        assert ApiClient(deployment.stack.api_url, wrong).get("/v1/payments").status == REFUSED


def _refused_within(client: ApiClient, seconds: float) -> Reply:
    ends = time.monotonic() + seconds
    reply = client.get("/v1/payments")
    while reply.status != REFUSED and time.monotonic() < ends:
        time.sleep(2)
        reply = client.get("/v1/payments")
    return reply
