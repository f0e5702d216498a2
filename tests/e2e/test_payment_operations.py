"""Captures, cancels and refunds over HTTP: partial, excessive, late, concurrent, resolved."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.api_client import ApiClient, Reply
from local.schedules import tick
from tests.e2e.conftest import Deployment, Shop
from tests.e2e.test_payments import SALE, charges_of
from tests.support.stages.patience import PATIENCE_SECONDS

AUTHORIZED = {**SALE, "capture_method": "manual"}
ROUTES = ("capture", "cancel", "refund")


def paid(shop: Shop, body: dict[str, Any] = SALE) -> str:
    """A new payment's path."""
    payment = shop.client.post("/v1/payments", body, key="first").require(201)
    return f"/v1/payments/{payment['id']}"


def begun_for(route: str, shop: Shop) -> str:
    """A new payment's path, on which `route` is allowed."""
    return paid(shop, SALE if route == "refund" else AUTHORIZED)


def read(shop: Shop, path: str) -> Any:
    return shop.client.get(path).require(200)


def done(payment: Any) -> list[tuple[str, int, str]]:
    return [(t["type"], t["amount"], t["status"]) for t in payment["transactions"]]


def standing(payment: Any) -> tuple[str, int, int, int]:
    amounts = ("amount_capturable", "amount_captured", "amount_refunded")
    return (payment["status"], *(payment[name] for name in amounts))


def test_an_authorization_moves_no_money_until_it_is_captured(shop: Shop) -> None:
    payment = read(shop, paid(shop, AUTHORIZED))
    assert standing(payment) == ("requires_capture", 1000, 0, 0)
    assert done(payment) == [("authorization", 1000, "succeeded")]


def test_a_final_partial_capture_releases_the_rest(shop: Shop) -> None:
    path = paid(shop, AUTHORIZED)
    captured = shop.client.post(f"{path}/capture", {"amount": 600}, key="c").require(200)
    assert standing(captured) == ("succeeded", 0, 600, 0)
    assert done(captured) == [("authorization", 1000, "succeeded"), ("capture", 600, "succeeded")]
    assert captured["transactions"][1]["fee"] == 47
    assert read(shop, path) == captured


def test_a_capture_without_a_body_captures_everything(shop: Shop) -> None:
    path = paid(shop, AUTHORIZED)
    reply = shop.client.send("POST", f"{path}/capture", headers={"Idempotency-Key": "c"})
    assert standing(reply.require(200)) == ("succeeded", 0, 1000, 0)


def test_captures_that_are_not_final_add_up_until_nothing_is_left(shop: Shop) -> None:
    path = paid(shop, AUTHORIZED)
    part = {"amount": 300, "final": False}
    first = shop.client.post(f"{path}/capture", part, key="c1").require(200)
    assert standing(first) == ("requires_capture", 700, 300, 0)
    back = shop.client.post(f"{path}/refund", {"amount": 100}, key="r").require(200)
    assert standing(back) == ("requires_capture", 700, 300, 100)
    rest = {"amount": 700, "final": False}
    second = shop.client.post(f"{path}/capture", rest, key="c2").require(200)
    assert standing(second) == ("succeeded", 0, 1000, 100)
    assert [kind for kind, _, _ in done(second)] == [
        "authorization",
        "capture",
        "refund",
        "capture",
    ]


def test_canceling_releases_an_authorization(shop: Shop) -> None:
    path = paid(shop, AUTHORIZED)
    canceled = shop.client.post(f"{path}/cancel", {}, key="v").require(200)
    assert standing(canceled) == ("canceled", 0, 0, 0)
    assert done(canceled) == [("authorization", 1000, "succeeded"), ("void", 1000, "succeeded")]


def test_canceling_after_a_partial_capture_releases_only_the_rest(shop: Shop) -> None:
    path = paid(shop, AUTHORIZED)
    part = {"amount": 300, "final": False}
    shop.client.post(f"{path}/capture", part, key="c").require(200)
    canceled = shop.client.post(f"{path}/cancel", {}, key="v").require(200)
    assert standing(canceled) == ("succeeded", 0, 300, 0)
    assert done(canceled)[-1] == ("void", 700, "succeeded")


def test_a_payment_is_refunded_in_parts_and_then_in_full(shop: Shop) -> None:
    path = paid(shop)
    part = {"amount": 300, "reason": "One was broken"}
    first = shop.client.post(f"{path}/refund", part, key="r1").require(200)
    assert standing(first) == ("succeeded", 0, 1000, 300)
    assert first["transactions"][-1]["reason"] == "One was broken"
    rest = shop.client.post(f"{path}/refund", {}, key="r2").require(200)
    assert standing(rest) == ("succeeded", 0, 1000, 1000)
    assert done(rest)[1:] == [("refund", 300, "succeeded"), ("refund", 700, "succeeded")]
    summary = shop.summary(payments=1, refunded=1000)["by_currency"]["USD"]
    assert (summary["captured"], summary["refunded"], summary["net"]) == (1000, 1000, -59)


@pytest.mark.parametrize(("route", "body"), [("capture", AUTHORIZED), ("refund", SALE)])
def test_an_amount_above_the_remaining_one_is_refused_with_the_remaining_amount(
    route: str, body: dict[str, Any], shop: Shop
) -> None:
    path = paid(shop, body)
    first = {"amount": 400, **({"final": False} if route == "capture" else {})}
    shop.client.post(f"{path}/{route}", first, key="part").require(200)
    problem = shop.client.post(f"{path}/{route}", {"amount": 601}, key="more").require(422)
    assert (problem["code"], problem["param"]) == ("amount_too_large", "amount")
    assert "601" in problem["detail"]
    assert "600" in problem["detail"]
    assert len(read(shop, path)["transactions"]) == 2, "a refusal stores nothing"


@pytest.mark.parametrize(
    ("body", "before", "route", "status"),
    [
        (SALE, None, "capture", "succeeded"),
        (SALE, None, "cancel", "succeeded"),
        (AUTHORIZED, "capture", "capture", "succeeded"),
        (AUTHORIZED, "cancel", "capture", "canceled"),
        (AUTHORIZED, "cancel", "cancel", "canceled"),
        (AUTHORIZED, "cancel", "refund", "canceled"),
        (AUTHORIZED, None, "refund", "requires_capture"),
    ],
)
def test_a_step_that_the_state_does_not_allow_is_refused_with_the_state(
    body: dict[str, Any], before: str | None, route: str, status: str, shop: Shop
) -> None:
    path = paid(shop, body)
    if before is not None:
        shop.client.post(f"{path}/{before}", {}, key="before").require(200)
    problem = shop.client.post(f"{path}/{route}", {}, key="late").require(409)
    assert problem["code"] == "invalid_state"
    assert status in problem["detail"]


def test_a_declined_payment_cannot_be_refunded(shop: Shop) -> None:
    body = {**SALE, "payment_method": "tok_declined"}
    declined = shop.client.post("/v1/payments", body, key="no").require(402)["payment_id"]
    path = f"/v1/payments/{declined}/refund"
    assert "failed" in shop.client.post(path, {}, key="r").require(409)["detail"]


def test_a_refund_that_the_processor_refuses_is_402_and_can_be_requested_again(shop: Shop) -> None:
    path = paid(shop, {**SALE, "payment_method": "tok_refund_fails"})
    refusal = shop.client.post(f"{path}/refund", {"amount": 400}, key="r")
    problem = refusal.require(402)
    assert refusal.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "refund_failed"
    assert path.endswith(problem["payment_id"])
    again = shop.client.post(f"{path}/refund", {"amount": 400}, key="r")
    assert (again.status, again.text) == (refusal.status, refusal.text)
    assert again.headers["idempotent-replayed"] == "true"
    payment = read(shop, path)
    assert standing(payment) == ("succeeded", 0, 1000, 0)
    assert done(payment)[1:] == [("refund", 400, "failed")]
    all_of_it = shop.client.post(f"{path}/refund", {"amount": 1000}, key="other")
    assert all_of_it.status == 402, "the amount was refundable again, so the processor was asked"


def test_refunding_needs_a_permission_of_its_own(deployment: Deployment, shop: Shop) -> None:
    path = begun_for("refund", shop)
    cashier = deployment.client(shop.merchant_id, "payments")
    refused = cashier.post(f"{path}/refund", {}, key="r").require(403)
    assert refused["code"] == "forbidden"
    clerk = deployment.client(shop.merchant_id, "refunds")
    for route in ("capture", "cancel"):
        assert clerk.post(f"{path}/{route}", {}, key=route).status == 403
    clerk.post(f"{path}/refund", {}, key="r").require(200)


@pytest.mark.parametrize("route", ROUTES)
def test_another_merchants_payment_is_not_found(
    route: str, deployment: Deployment, shop: Shop
) -> None:
    path = begun_for(route, shop)
    before = read(shop, path)
    problem = deployment.shop().client.post(f"{path}/{route}", {}, key="theirs").require(404)
    assert problem["code"] == "not_found"
    assert read(shop, path) == before


@pytest.mark.parametrize("route", ROUTES)
def test_a_repeated_operation_gets_the_same_bytes_and_has_one_effect(
    route: str, shop: Shop
) -> None:
    path = begun_for(route, shop)
    body = {} if route == "cancel" else {"amount": 400}
    first = shop.client.post(f"{path}/{route}", body, key="again")
    second = shop.client.post(f"{path}/{route}", body, key="again")
    assert first.status == 200, first.text
    assert (second.status, second.text) == (first.status, first.text)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert len(read(shop, path)["transactions"]) == 2
    if route != "cancel":
        other = shop.client.post(f"{path}/{route}", {"amount": 401}, key="again").require(422)
        assert other["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("route", ROUTES)
def test_an_operation_without_an_idempotency_key_is_refused(route: str, shop: Shop) -> None:
    path = begun_for(route, shop)
    problem = shop.client.post(f"{path}/{route}", {}).require(400)
    assert problem["code"] == "missing_idempotency_key"


def test_of_ten_concurrent_refunds_only_the_covered_ones_succeed(
    deployment: Deployment, shop: Shop
) -> None:
    path = paid(shop, {**SALE, "amount": 50})
    bearer = deployment.bearer(shop.merchant_id, "refunds")
    patient = ApiClient(deployment.stack.api_url, bearer, PATIENCE_SECONDS)

    def refund(key: str, of: str = path) -> Reply:
        return patient.post(f"{of}/refund", {"amount": 10}, key=key)

    with ThreadPoolExecutor(max_workers=10) as crowd:
        # Requests that refund nothing take the emulator's cold starts.
        list(crowd.map(lambda number: refund(f"cold{number}", "/v1/payments/none"), range(10)))
        replies = list(crowd.map(refund, [f"r{number}" for number in range(10)]))
    statuses = Counter(reply.status for reply in replies)
    assert statuses == {200: 5, 422: 5}, [reply.text for reply in replies]
    refused = {reply.body["code"] for reply in replies if reply.status == 422}
    assert refused == {"amount_too_large"}
    payment = read(shop, path)
    assert standing(payment) == ("succeeded", 0, 50, 50)
    assert done(payment)[1:] == [("refund", 10, "succeeded")] * 5
    given_back = sorted(r.body["amount_refunded"] for r in replies if r.status == 200)
    assert given_back == [10, 20, 30, 40, 50], "each response shows the sum at its own commit"


@pytest.mark.emulator("it runs a schedule at once")
def test_an_authorization_with_a_lost_response_is_found_by_the_resolver(
    deployment: Deployment, shop: Shop
) -> None:
    body = {**AUTHORIZED, "payment_method": "tok_timeout"}
    unknown = shop.client.post("/v1/payments", body, key="lost").require(202)
    assert unknown["status"] == "unknown"
    tick(deployment.stack, "resolver")
    final = shop.client.post("/v1/payments", body, key="lost").require(201)
    assert (final["id"], final["status"]) == (unknown["id"], "requires_capture")
    path = f"/v1/payments/{final['id']}"
    assert done(read(shop, path)) == [("authorization", 1000, "succeeded")]
    captured = shop.client.post(f"{path}/capture", {}, key="c").require(200)
    assert standing(captured) == ("succeeded", 0, 1000, 0)
    assert charges_of(deployment, shop.merchant_id) == [final["id"]]
