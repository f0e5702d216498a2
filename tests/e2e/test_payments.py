"""Payments over HTTP, through the gateway, the authorizer and the deployed functions."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from local.api_client import ApiClient
from local.schedules import tick
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS

SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}


def charges_of(deployment: Deployment, merchant_id: str) -> list[str]:
    """References that the sandbox processor charged, among the merchant's payments."""
    items = _scan(deployment, "sandbox_charges")
    mine = {item["id"]["S"] for item in payments_of(deployment, merchant_id)}
    approved = [item for item in items if item["state"]["S"] == "approved"]
    return [item["reference"]["S"] for item in approved if item["reference"]["S"] in mine]


def payments_of(deployment: Deployment, merchant_id: str) -> list[dict[str, Any]]:
    rows = _scan(deployment, "payments")
    return [row for row in rows if row["merchant_id"]["S"] == merchant_id]


def must_be_one_payment(deployment: Deployment, shop: Shop) -> None:
    """By the totals, and by the table where it can be read: totals count a second one later."""
    if deployment.caller is None:
        assert len(payments_of(deployment, shop.merchant_id)) == 1
    assert shop.summary(payments=1)["total_count"] == 1


def _scan(deployment: Deployment, table: str) -> list[dict[str, Any]]:
    pages = deployment.aws.dynamodb.get_paginator("scan").paginate(
        TableName=deployment.stack.tables[table], ConsistentRead=True
    )
    return [dict(item) for page in pages for item in page["Items"]]


def test_an_approved_payment_succeeds_and_is_returned_with_its_capture(shop: Shop) -> None:
    paid = shop.client.post("/v1/payments", SALE, key="one").require(201)
    read = shop.client.get(f"/v1/payments/{paid['id']}").require(200)
    transactions = read.pop("transactions")
    assert read == paid
    assert paid["status"] == "succeeded"
    assert paid["amount_captured"] == SALE["amount"]
    assert [(t["type"], t["status"], t["fee"]) for t in transactions] == [
        ("capture", "succeeded", 59)
    ]


def test_a_declined_payment_is_402_with_its_reason_and_is_kept(shop: Shop) -> None:
    body = {**SALE, "payment_method": "tok_insufficient_funds"}
    refusal = shop.client.post("/v1/payments", body, key="two")
    problem = refusal.require(402)
    assert refusal.headers["content-type"] == "application/problem+json"
    assert problem["decline_code"] == "insufficient_funds"
    read = shop.client.get(f"/v1/payments/{problem['payment_id']}").require(200)
    assert (read["status"], read["failure_code"]) == ("failed", "insufficient_funds")


@pytest.mark.parametrize("method", ["tok_approved", "tok_declined"])
def test_a_repeated_request_gets_the_same_bytes_and_no_second_payment(
    method: str, deployment: Deployment, shop: Shop
) -> None:
    body = {**SALE, "payment_method": method}
    first = shop.client.post("/v1/payments", body, key="again")
    second = shop.client.post("/v1/payments", body, key="again")
    assert (second.status, second.text) == (first.status, first.text)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    must_be_one_payment(deployment, shop)


def test_a_key_used_for_another_body_is_refused(shop: Shop) -> None:
    shop.client.post("/v1/payments", SALE, key="reused").require(201)
    problem = shop.client.post("/v1/payments", {**SALE, "amount": 1001}, key="reused").require(422)
    assert problem["code"] == "idempotency_key_reused"


GIVEN_UP = '{"message": "Internal Server Error"}'


@pytest.mark.parametrize("at_once", [8, pytest.param(32, marks=pytest.mark.deep)])
def test_many_concurrent_copies_of_a_request_are_one_payment_and_one_charge(
    at_once: int, deployment: Deployment, shop: Shop
) -> None:
    bearer = deployment.bearer(shop.merchant_id, "payments")
    patient = ApiClient(deployment.stack.api_url, bearer, PATIENCE_SECONDS)

    def send(_: int) -> Any:
        return patient.post("/v1/payments", SALE, key="crowd")

    with ThreadPoolExecutor(max_workers=at_once) as crowd:
        everything = list(crowd.map(send, range(at_once)))
    # The gateway answers so for a function that it gave up, as it may where many start at once.
    replies = [each for each in everything if each.text != GIVEN_UP]
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) <= {201, 409}, [reply.text for reply in replies]
    assert statuses[201] >= 1
    assert len({reply.text for reply in replies if reply.status == 201}) == 1
    waiting = [reply for reply in replies if reply.status == 409]
    assert all(reply.headers["retry-after"] == "1" for reply in waiting)
    must_be_one_payment(deployment, shop)
    if deployment.caller is None:
        assert len(charges_of(deployment, shop.merchant_id)) == 1


def test_the_same_key_of_two_merchants_is_two_payments(deployment: Deployment, shop: Shop) -> None:
    other = deployment.shop()
    mine = shop.client.post("/v1/payments", SALE, key="shared").require(201)
    theirs = other.client.post("/v1/payments", SALE, key="shared").require(201)
    assert mine["id"] != theirs["id"]


@pytest.mark.emulator("it runs a schedule at once")
def test_a_lost_response_is_unknown_until_the_resolver_has_asked(
    deployment: Deployment, shop: Shop
) -> None:
    body = {**SALE, "payment_method": "tok_timeout"}
    unknown = shop.client.post("/v1/payments", body, key="lost").require(202)
    assert unknown["status"] == "unknown"
    # 201 if the stage's own schedule was faster than `tick`.
    meanwhile = shop.client.post("/v1/payments", body, key="lost").require(202, 201)
    assert meanwhile["id"] == unknown["id"]
    tick(deployment.stack, "resolver")
    final = shop.client.post("/v1/payments", body, key="lost").require(201)
    assert (final["id"], final["status"]) == (unknown["id"], "succeeded")
    assert charges_of(deployment, shop.merchant_id) == [unknown["id"]]


def test_pages_show_every_payment_once_newest_first(shop: Shop) -> None:
    made = [
        shop.client.post("/v1/payments", SALE, key=str(number)).require(201)["id"]
        for number in range(7)
    ]
    seen: list[str] = []
    cursor = ""
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = shop.client.get("/v1/payments", **query).require(200)
        seen += [payment["id"] for payment in page["data"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    assert seen == made[::-1]


def test_a_cursor_is_valid_only_for_its_own_list(deployment: Deployment, shop: Shop) -> None:
    for number in range(2):
        shop.client.post("/v1/payments", SALE, key=str(number)).require(201)
    cursor = shop.client.get("/v1/payments", limit=1).require(200)["next_cursor"]
    filtered = shop.client.get("/v1/payments", limit=1, status="failed", cursor=cursor)
    assert filtered.require(400)["code"] == "bad_cursor"
    stranger = deployment.shop().client.get("/v1/payments", limit=1, cursor=cursor)
    assert stranger.require(400)["code"] == "bad_cursor"


def test_the_summary_adds_up_by_currency_and_status(shop: Shop) -> None:
    sales = [(1000, "USD", "tok_approved"), (500, "JPY", "tok_approved"), (9, "USD", "tok_fraud")]
    for number, (amount, currency, method) in enumerate(sales):
        body = {"amount": amount, "currency": currency, "payment_method": method}
        shop.client.post("/v1/payments", body, key=str(number)).require(201, 402)
    summary = shop.summary(payments=3)
    assert summary["total_count"] == 3
    assert summary["by_status"] == {"succeeded": 2, "failed": 1}
    assert summary["by_currency"] == {
        "JPY": {"count": 1, "captured": 500, "refunded": 0, "fees": 45, "net": 455, "average": 500},
        "USD": {
            "count": 2,
            "captured": 1000,
            "refunded": 0,
            "fees": 59,
            "net": 941,
            "average": 1000,
        },
    }


@pytest.mark.emulator("it reads or edits the tables behind the API")
def test_a_customer_is_readable_by_its_merchant_but_not_in_plaintext_in_the_table(
    deployment: Deployment, shop: Shop
) -> None:
    secret = uuid4().hex
    body = {"name": f"Name {secret}", "email": f"{secret}@x.example", "phone": "+44 20 7946 0001"}
    made = shop.client.post("/v1/customers", body).require(201)
    assert shop.client.get(f"/v1/customers/{made['id']}").require(200) == made
    row = deployment.aws.dynamodb.get_item(
        TableName=deployment.stack.tables["customers"], Key={"id": {"S": made["id"]}}
    )["Item"]
    assert secret.encode() not in repr(row).encode()
    assert json.dumps(made).count(secret) == 2
