"""Accounts and transfers over HTTP, and what the change streams derive from them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from local.api_client import ApiClient
from local.auth import OPERATOR_PERMISSION
from local.schedules import tick
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS


def fresh() -> str:
    return uuid4().hex


def account(deployment: Deployment, shop: Shop, balance: int = 0, **more: Any) -> str:
    body = {
        "account_type": "wallet",
        "currency": "USD",
        "merchant_id": shop.merchant_id,
        "opening_balance": balance,
        **more,
    }
    made = deployment.operator.post("/v1/accounts", body, key=fresh()).require(201)
    found: str = made["id"]
    return found


def order(source: str, target: str, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "from_account_id": source,
        "to_account_id": target,
        "amount": amount,
        "currency": "USD",
        **more,
    }


def settles(read: Callable[[], Any], expected: Any) -> None:
    """Waits for what a stream derives; it takes seconds."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (found := read()) != expected:
        assert time.monotonic() < until, found
        time.sleep(0.2)


def test_a_transfer_is_created_read_listed_and_in_both_statements(
    deployment: Deployment, shop: Shop
) -> None:
    a, b = account(deployment, shop, 1000), account(deployment, shop)
    body = order(a, b, 300)
    made = shop.client.post("/v1/transfers", body, key="rent").require(201)
    again = shop.client.post("/v1/transfers", body, key="rent")
    assert again.require(201) == made
    assert again.headers["idempotent-replayed"] == "true"
    assert shop.client.get(f"/v1/transfers/{made['id']}").require(200) == made

    def statement(of: str) -> list[tuple[int, int]]:
        lines = shop.client.get(f"/v1/accounts/{of}/entries").require(200)["data"]
        return [(line["amount"], line["balance_after"]) for line in lines]

    settles(lambda: statement(a), [(-300, 700), (1000, 1000)])
    settles(lambda: statement(b), [(300, 300)])
    listed = shop.client.get("/v1/transfers", account_id=b).require(200)["data"]
    assert [row["id"] for row in listed] == [made["id"]]


def test_a_hot_account_takes_many_concurrent_credits_and_pays_out_their_sum(
    deployment: Deployment, shop: Shop
) -> None:
    sources = [account(deployment, shop, 100) for _ in range(4)]
    hot = account(deployment, shop, posting="folded")
    operator = deployment.operator
    patient = ApiClient(
        deployment.stack.api_url,
        deployment.bearer(None, OPERATOR_PERMISSION),
        PATIENCE_SECONDS,
    )

    def give(number: int) -> int:
        body = order(sources[number % 4], hot, 5)
        return patient.post("/v1/transfers", body, key=fresh()).status

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert Counter(pool.map(give, range(40))) == {201: 40}
    seen = lambda: operator.get(f"/v1/accounts/{hot}").require(200)["balance"]  # noqa: E731
    settles(seen, 200)
    assert operator.get(f"/v1/accounts/{hot}").require(200)["as_of"] is not None
    over = operator.post("/v1/transfers", order(hot, sources[0], 201), key=fresh()).require(422)
    assert "available 200, requested 201" in over["detail"] or "requested 201" in over["detail"]
    operator.post("/v1/transfers", order(hot, sources[0], 200), key=fresh()).require(201)
    assert seen() == 0


def test_a_payment_is_booked_on_the_platforms_hot_accounts(
    deployment: Deployment, shop: Shop
) -> None:
    sale = {"amount": 1000, "currency": "DKK", "payment_method": "tok_approved"}
    shop.client.post("/v1/payments", sale, key="sale").require(201)
    receivable = f"acc_receivable_{shop.merchant_id}_DKK"

    def balance() -> Any:
        reply = shop.client.get(f"/v1/accounts/{receivable}")
        return reply.require(200)["balance"] if reply.status == 200 else None

    settles(balance, 941)
    other = deployment.shop()
    assert other.client.get(f"/v1/accounts/{receivable}").status == 404


@pytest.mark.emulator("it runs a schedule at once")
def test_a_hold_expires_by_the_schedule(deployment: Deployment, shop: Shop) -> None:
    a, b = account(deployment, shop, 100), account(deployment, shop)
    body = order(a, b, 60, hold=True, expires_in_seconds=1)
    held = shop.client.post("/v1/transfers", body, key=fresh()).require(201)
    time.sleep(1.1)
    late = shop.client.post(f"/v1/transfers/{held['id']}/post", {}, key=fresh()).require(409)
    assert late["code"] == "hold_expired"
    until = time.monotonic() + PATIENCE_SECONDS
    while shop.client.get(f"/v1/transfers/{held['id']}").require(200)["status"] != "expired":
        assert time.monotonic() < until
        tick(deployment.stack, "holds")
    assert shop.client.get(f"/v1/accounts/{a}").require(200)["available"] == 100


def test_concurrent_post_and_cancel_of_one_hold_have_one_winner(
    deployment: Deployment, shop: Shop
) -> None:
    a, b = account(deployment, shop, 100), account(deployment, shop)
    for _ in range(5):
        held = shop.client.post("/v1/transfers", order(a, b, 10, hold=True), key=fresh())
        path = f"/v1/transfers/{held.require(201)['id']}"
        with ThreadPoolExecutor(max_workers=2) as pool:
            replies = list(
                pool.map(
                    lambda end, path=path: shop.client.post(f"{path}/{end}", {}, key=fresh()),
                    ("post", "cancel"),
                )
            )
        assert sorted(reply.status for reply in replies) == [200, 409]
    seen = [shop.client.get(f"/v1/accounts/{each}").require(200) for each in (a, b)]
    assert sum(each["balance"] for each in seen) == 100
    assert [each["held_out"] + each["held_in"] for each in seen] == [0, 0]


@pytest.mark.parametrize("body", [None, {}])
def test_a_hold_is_canceled_without_a_body_or_with_an_empty_one(
    deployment: Deployment, shop: Shop, body: Any
) -> None:
    a, b = account(deployment, shop, 100), account(deployment, shop)
    held = shop.client.post("/v1/transfers", order(a, b, 10, hold=True), key=fresh()).require(201)
    path = f"/v1/transfers/{held['id']}/cancel"
    assert shop.client.post(path, body, key=fresh()).require(200)["status"] == "canceled"


@pytest.mark.emulator("it reads or edits the tables behind the API")
def test_ledger_verification_passes_and_finds_a_planted_minor_unit(
    deployment: Deployment, shop: Shop
) -> None:
    a, b = account(deployment, shop, 1000), account(deployment, shop)
    shop.client.post("/v1/transfers", order(a, b, 10), key=fresh()).require(201)
    tick(deployment.stack, "proof", kind="full")
    proof = deployment.operator.get("/v1/proof").require(200)
    assert proof["holds"], proof
    assert shop.client.get("/v1/proof").status == 403

    def shift(amount: int) -> None:
        deployment.aws.dynamodb.update_item(
            TableName=deployment.stack.tables["accounts"],
            Key={"id": {"S": a}, "shard": {"S": "00"}},
            UpdateExpression="SET balance = balance + :d",
            ExpressionAttributeValues={":d": {"N": str(amount)}},
        )

    shift(1)
    try:
        tick(deployment.stack, "proof", kind="full")
        proof = deployment.operator.get("/v1/proof").require(200)
        assert not proof["holds"]
        broken = {check["name"] for check in proof["checks"] if not check["holds"]}
        assert "conservation" in broken
        named = [v["id"] for check in proof["checks"] for v in check["violations"]]
        assert any(a in each for each in named), named
    finally:
        shift(-1)
