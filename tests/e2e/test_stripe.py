"""A merchant on Stripe: the deployed stack against a stateful fake of Stripe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from stripe import WebhookSignature

from local.schedules import tick
from tests.e2e.conftest import Deployment, Shop
from tests.support.processors.localstripe import stand_in_for_stripe
from tests.support.processors.stripe_proxy import LOST_ANSWER, LOST_REQUEST, StripeProxy
from tests.support.processors.stripe_shapes import balance_transaction, dispute, event
from tests.support.stages.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.emulator("it stands in for Stripe")

SIGNING_SECRET = "whsec_of_the_shop"
SALE = {"amount": 1000, "currency": "USD", "payment_method": "pm_card_visa"}
AUTHORIZATION = {**SALE, "capture_method": "manual"}
AUTHENTICATED = {
    **SALE,
    "payment_method": "pm_card_threeDSecure2Required",
    "return_url": "https://shop.example/done",
}


@pytest.fixture(scope="module")
def stripe(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StripeProxy]:
    log = tmp_path_factory.mktemp("localstripe") / "log"
    with stand_in_for_stripe(log, deployment.stripe_port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def shop(deployment: Deployment, stripe: StripeProxy) -> Shop:
    config = {"api_key": "sk_test_of_the_shop", "webhook_secret": SIGNING_SECRET}
    return deployment.shop(processor="stripe", processor_config=config)


def pay(shop: Shop, body: dict[str, Any] = SALE) -> dict[str, Any]:
    paid: dict[str, Any] = shop.client.post("/v1/payments", body, key=uuid4().hex).require(201)
    return paid


def operate(shop: Shop, payment_id: str, verb: str, **body: Any) -> dict[str, Any]:
    path = f"/v1/payments/{payment_id}/{verb}"
    after: dict[str, Any] = shop.client.post(path, body, key=uuid4().hex).require(200)
    return after


def read(shop: Shop, payment_id: str) -> dict[str, Any]:
    found: dict[str, Any] = shop.client.get(f"/v1/payments/{payment_id}").require(200)
    return found


def at_stripe(stripe: StripeProxy, payment_id: str) -> dict[str, Any]:
    """The only charge there that carries our reference."""
    (intent,) = (i for i in stripe.intents() if i["metadata"].get("reference") == payment_id)
    return intent


def test_a_sale_is_one_charge_at_stripe_with_its_fee(shop: Shop, stripe: StripeProxy) -> None:
    paid = pay(shop)
    assert (paid["status"], paid["amount_captured"]) == ("succeeded", 1000)
    intent = at_stripe(stripe, paid["id"])
    (capture,) = read(shop, paid["id"])["transactions"]
    assert (capture["type"], capture["status"], capture["fee"]) == ("capture", "succeeded", 59)
    assert capture["processor_id"] == intent["id"]
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 1000)


def test_a_decline_is_402_with_our_code(shop: Shop, stripe: StripeProxy) -> None:
    body = {**SALE, "payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
    problem = shop.client.post("/v1/payments", body, key="declined").require(402)
    assert problem["decline_code"] == "insufficient_funds"
    assert read(shop, problem["payment_id"])["status"] == "failed"
    assert at_stripe(stripe, problem["payment_id"])["amount_received"] == 0


def test_a_payment_method_of_another_kind_is_refused_before_anything_is_written(shop: Shop) -> None:
    body = {**SALE, "payment_method": "tok_approved"}
    problem = shop.client.post("/v1/payments", body, key="sandbox-token").require(422)
    assert problem["param"] == "payment_method"


def test_a_repeated_request_is_the_same_bytes_and_one_charge(
    shop: Shop, stripe: StripeProxy
) -> None:
    first = shop.client.post("/v1/payments", SALE, key="again")
    second = shop.client.post("/v1/payments", SALE, key="again")
    assert (second.status, second.text) == (201, first.text)
    assert second.headers["idempotent-replayed"] == "true"
    at_stripe(stripe, first.body["id"])


def test_an_authorization_is_captured_in_part_once_and_refunded(
    shop: Shop, stripe: StripeProxy
) -> None:
    paid = pay(shop, AUTHORIZATION)
    assert (paid["status"], paid["amount_capturable"]) == ("requires_capture", 1000)
    path = f"/v1/payments/{paid['id']}/capture"
    in_parts = shop.client.post(path, {"amount": 100, "final": False}, key="in-parts")
    assert in_parts.require(422)["param"] == "final"
    captured = operate(shop, paid["id"], "capture", amount=600)
    assert (captured["status"], captured["amount_captured"]) == ("succeeded", 600)
    refunded = operate(shop, paid["id"], "refund", amount=250)
    assert refunded["amount_refunded"] == 250
    fees = {each["type"]: each["fee"] for each in refunded["transactions"]}
    assert (fees["capture"], fees["refund"]) == (47, 0)
    intent = at_stripe(stripe, paid["id"])
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 600)
    assert refunds_of(stripe, intent) == [250]


def test_a_canceled_authorization_is_canceled_at_stripe(shop: Shop, stripe: StripeProxy) -> None:
    paid = pay(shop, AUTHORIZATION)
    assert operate(shop, paid["id"], "cancel")["status"] == "canceled"
    assert at_stripe(stripe, paid["id"])["status"] == "canceled"


def test_a_customer_who_authenticates_is_charged(
    deployment: Deployment, shop: Shop, stripe: StripeProxy
) -> None:
    waiting = shop.client.post("/v1/payments", AUTHENTICATED, key="3ds").require(202)
    assert (waiting["status"], waiting["amount_captured"]) == ("requires_action", 0)
    assert waiting["next_action"]["type"] == "redirect_to_url"
    intent = at_stripe(stripe, waiting["id"])
    assert intent["next_action"]["redirect_to_url"] == {
        "url": waiting["next_action"]["url"],
        "return_url": AUTHENTICATED["return_url"],
    }
    assert waiting["client_secret"] == intent["client_secret"]
    after = stripe.authenticate(intent["id"], succeeds=True)
    decided(deployment, shop, "payment_intent.succeeded", after)
    paid = read(shop, waiting["id"])
    assert (paid["status"], paid["amount_captured"]) == ("succeeded", 1000)
    assert [(each["type"], each["fee"]) for each in paid["transactions"]] == [("capture", 59)]
    final = shop.client.post("/v1/payments", AUTHENTICATED, key="3ds").require(201)
    assert (final["id"], final["status"]) == (waiting["id"], "succeeded")
    assert at_stripe(stripe, waiting["id"])["amount_received"] == 1000


def test_a_customer_who_fails_to_authenticate_pays_nothing(
    deployment: Deployment, shop: Shop, stripe: StripeProxy
) -> None:
    waiting = shop.client.post("/v1/payments", AUTHENTICATED, key="3ds-fails").require(202)
    intent = at_stripe(stripe, waiting["id"])
    after = stripe.authenticate(intent["id"], succeeds=False)
    decided(deployment, shop, "payment_intent.payment_failed", after)
    failed = read(shop, waiting["id"])
    assert (failed["status"], failed["failure_code"]) == ("failed", "authentication_failed")
    problem = shop.client.post("/v1/payments", AUTHENTICATED, key="3ds-fails").require(402)
    assert problem["decline_code"] == "authentication_failed"
    ended = at_stripe(stripe, waiting["id"])
    assert (ended["status"], ended["amount_received"]) == ("canceled", 0)


def decided(deployment: Deployment, shop: Shop, kind: str, intent: dict[str, Any]) -> None:
    """Stripe's notification of what became of a charge."""
    said = event(kind, intent, id=f"evt_{uuid4().hex}", created=int(time.time()))
    applied = notify(deployment, shop, json.dumps(said), SIGNING_SECRET).require(200)
    assert applied["result"] == "applied"


def test_a_stored_method_is_charged_by_its_token(shop: Shop, stripe: StripeProxy) -> None:
    customer = shop.client.post("/v1/customers", {"name": "A", "email": "a@b.example"}).require(201)
    card = {"type": "card", "token": "pm_card_visa", "last4": "4242"}
    path = f"/v1/customers/{customer['id']}/payment-methods"
    stored = shop.client.post(path, card).require(201)
    method_id = stored["id"]
    paid = pay(shop, {**SALE, "payment_method": method_id, "customer_id": customer["id"]})
    assert at_stripe(stripe, paid["id"])["amount_received"] == 1000


def test_a_charge_with_a_lost_response_is_found_by_the_resolver(
    deployment: Deployment, shop: Shop, stripe: StripeProxy
) -> None:
    stripe.faults.append(LOST_ANSWER)
    unknown = shop.client.post("/v1/payments", SALE, key="lost-answer").require(202)
    assert unknown["status"] == "unknown"
    tick(deployment.stack, "resolver")
    found = read(shop, unknown["id"])
    assert (found["status"], found["transactions"][0]["fee"]) == ("succeeded", 59)
    replayed = shop.client.post("/v1/payments", SALE, key="lost-answer")
    assert replayed.require(201)["id"] == unknown["id"]
    assert at_stripe(stripe, unknown["id"])["status"] == "succeeded"


def test_a_refund_with_a_lost_response_is_found_and_made_once(
    deployment: Deployment, shop: Shop, stripe: StripeProxy
) -> None:
    paid = pay(shop)
    stripe.faults.append(LOST_ANSWER)
    path = f"/v1/payments/{paid['id']}/refund"
    shop.client.post(path, {"amount": 300}, key="lost-refund").require(202)
    tick(deployment.stack, "resolver")
    assert read(shop, paid["id"])["amount_refunded"] == 300
    assert refunds_of(stripe, at_stripe(stripe, paid["id"])) == [300]


def test_a_charge_that_never_arrived_is_forbidden_and_fails(
    deployment: Deployment, shop: Shop, stripe: StripeProxy
) -> None:
    stripe.faults.append(LOST_REQUEST)
    unknown = shop.client.post("/v1/payments", SALE, key="lost-request").require(202)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := read(shop, unknown["id"]))["status"] == "unknown":
        assert time.monotonic() < deadline, "the resolver did not come to an end"
        tick(deployment.stack, "resolver")
        time.sleep(1)
    assert found["status"] == "failed"
    carried = [i for i in stripe.intents() if unknown["id"] in i["metadata"].values()]
    assert [(i["status"], i["amount_received"]) for i in carried] == [("canceled", 0)]
    assert "reference" not in carried[0]["metadata"]


def test_a_dispute_is_booked_if_stripe_signed_it_and_confirms_it(
    deployment: Deployment, shop: Shop, stripe: StripeProxy
) -> None:
    paid = pay(shop)
    intent_id = at_stripe(stripe, paid["id"])["id"]
    about = dispute("needs_response", balance_transaction(-1000, 1500), payment_intent=intent_id)
    body = json.dumps(event("charge.dispute.created", about, created=int(time.time())))
    forged = notify(deployment, shop, body, "whsec_of_another_merchant")
    assert forged.require(401)["code"] == "bad_signature"
    unheard_of = notify(deployment, shop, body, SIGNING_SECRET).require(200)
    assert unheard_of["result"] == "ignored"
    stripe.disputes[about["id"]] = about
    assert notify(deployment, shop, body, SIGNING_SECRET).require(200)["result"] == "applied"
    assert read(shop, paid["id"])["dispute_status"] == "opened"


def test_the_poll_finds_a_dispute_without_a_notification(
    deployment: Deployment, shop: Shop, stripe: StripeProxy
) -> None:
    paid = pay(shop)
    intent_id = at_stripe(stripe, paid["id"])["id"]
    moved = balance_transaction(-1000, 1500)
    about = dispute("lost", moved, id="du_untold", payment_intent=intent_id)
    stripe.disputes[about["id"]] = about
    stripe.events.append(event("charge.dispute.closed", about, id="evt_untold"))
    report, _ = tick(deployment.stack, "poll")
    assert report["finished"]
    assert read(shop, paid["id"])["dispute_status"] == "lost"


def test_the_charges_at_stripe_match_ours_to_the_minor_unit(
    shop: Shop, stripe: StripeProxy
) -> None:
    for body in (SALE, AUTHORIZATION):
        pay(shop, {**body, "amount": 777})
    ours = {each["id"]: each for each in all_payments(shop)}
    theirs = [i for i in stripe.intents() if "reference" in i["metadata"]]
    asked = (p["id"] for p in ours.values() if p["failure_code"] != "processor_unreachable")
    assert sorted(intent["metadata"]["reference"] for intent in theirs) == sorted(asked)
    for intent in theirs:
        payment = ours[intent["metadata"]["reference"]]
        assert payment["amount_captured"] == intent["amount_received"]
        assert payment["amount_refunded"] == sum(refunds_of(stripe, intent))


def refunds_of(stripe: StripeProxy, intent: dict[str, Any]) -> list[int]:
    if intent["latest_charge"] is None:
        return []
    target = f"/v1/refunds?payment_intent={intent['id']}&limit=100"
    status, listed = stripe.answer("GET", target, "sk_test_of_the_test", None, "")
    assert status == 200
    return [refund["amount"] for refund in listed["data"]]


def all_payments(shop: Shop) -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = shop.client.get("/v1/payments", **query).require(200)
        yield from page["data"]
        if not page["has_more"]:
            return
        query["cursor"] = page["next_cursor"]


def notify(deployment: Deployment, shop: Shop, body: str, secret: str) -> Any:
    return deployment.operator.send(
        "POST",
        f"/v1/processor-events/stripe?merchant_id={shop.merchant_id}",
        content=body,
        headers={
            "Content-Type": "application/json",
            "Stripe-Signature": WebhookSignature.generate_signature_header(body, secret),
        },
    )
