"""Notifications of processors: genuine ones are applied once, however often they arrive.

Driven through the deployed function, signed as the sandbox signs.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.functions.composition.process_services import process_services
from runtime.payments.processors.sandbox.events import SIGNATURE_HEADER, sign_sandbox_event
from tests.support.http import Answered, token_of
from tests.support.stages.running_stage import Stage

SECRET = "a secret of the sandbox"
HOUR = 3600


class Shop:
    """A merchant whose sandbox sends notifications."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.merchant_id = stage.shop(processor_config={"webhook_secret": SECRET})["id"]
        self.token = token_of(self.merchant_id, "payments refunds reports")
        self._keys = 0

    def post(self, path: str, body: Any) -> Answered:
        self._keys += 1
        headers = {"idempotency-key": f"key-{self._keys}"}
        return self.stage.api("POST", path, body, headers=headers, authorizer=self.token)

    def pay(self, **body: Any) -> Any:
        sale = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved", **body}
        answer = self.post("/v1/payments", sale)
        assert answer.status in (201, 202), answer.text
        return answer.body

    def payment(self, payment_id: str) -> Any:
        path = f"/v1/payments/{payment_id}"
        return self.stage.api("GET", path, authorizer=self.token).body

    def tell(
        self, kind: str, *, signed_with: str = SECRET, signed_at: float | None = None, **event: Any
    ) -> Answered:
        """A notification as the sandbox sends it."""
        body = json.dumps({"id": f"evt_{kind}", "type": kind, "created": int(time.time()), **event})
        at = int(time.time() if signed_at is None else signed_at)
        header = sign_sandbox_event(body.encode(), signed_with, at)
        return self.send(body, {SIGNATURE_HEADER: header})

    def send(
        self,
        body: str,
        headers: dict[str, str],
        query: str | None = None,
        processor: str = "sandbox",
    ) -> Answered:
        query = f"merchant_id={self.merchant_id}" if query is None else query
        path = f"/v1/processor-events/{processor}"
        return self.stage.api("POST", path, raw=body, query=query, headers=headers, authorizer=None)

    def kept(self, status: str = "unapplied") -> list[Any]:
        """The merchant's events that could not be applied, as an operator sees them."""
        query = f"merchant_id={self.merchant_id}&status={status}"
        answer = self.stage.api("GET", "/v1/processor-events", query=query)
        assert answer.status == 200, answer.text
        rows: list[Any] = answer.body["data"]
        return rows

    def apply(self, event_id: str, headers: dict[str, str] | None = None) -> Answered:
        """An operator requests that a kept event be applied again."""
        path = f"/v1/processor-events/{event_id}/apply"
        return self.stage.api("POST", path, headers=headers)

    def balances(self) -> Counter[str]:
        """Balances from the merchant's own bookings."""
        found: Counter[str] = Counter()
        for item in self.items("transfers"):
            for leg in item["legs"]["L"]:
                amount = int(leg["M"]["amount"]["N"])
                found[leg["M"]["from_account_id"]["S"]] -= amount
                found[leg["M"]["to_account_id"]["S"]] += amount
        return found

    def items(self, table: str) -> list[Any]:
        pages = self.stage.dynamodb.get_paginator("scan").paginate(
            TableName=self.stage.tables[table], ConsistentRead=True
        )
        rows = [item for page in pages for item in page["Items"]]
        return [row for row in rows if row["merchant_id"]["S"] == self.merchant_id]


@pytest.fixture
def shop(stage: Stage) -> Iterator[Shop]:
    yield Shop(stage)
    assert stage.payments_that_contradict() == []


def dispute(payment: Any, kind: str = "dispute_opened", **more: Any) -> dict[str, Any]:
    """What a notification says of a dispute of 600."""
    reported = {"dispute_id": "dp_1", "reference": payment["id"], "amount": 600, "currency": "USD"}
    return {"kind": kind, **reported, "fee": 15, **more}


def test_a_merchant_cannot_forge_its_processors_notifications(shop: Shop) -> None:
    """It requests a refund, and then claims itself that the refund failed."""
    payment = shop.pay()
    refunded = shop.post(f"/v1/payments/{payment['id']}/refund", {}).body
    before = shop.balances()
    path = f"/v1/merchants/{shop.merchant_id}"
    everything = "payments refunds customers accounts transfers reports merchant"
    mine = "a secret that the merchant has set"
    changed = shop.stage.api(
        "PATCH",
        path,
        {"version": 1, "processor_config": {"webhook_secret": mine}},
        authorizer=token_of(shop.merchant_id, everything),
    )
    assert (changed.status, changed.body["param"]) == (403, "processor_config")
    reference = refunded["transactions"][-1]["id"]
    assert shop.tell("refund_failed", signed_with=mine, reference=reference).status == 401
    assert shop.balances() == before
    assert shop.payment(payment["id"])["amount_refunded"] == payment["amount"]


def test_a_dispute_is_withdrawn_recorded_and_returned_when_it_is_won(shop: Shop) -> None:
    payment = shop.pay()
    receivable = f"acc_receivable_{shop.merchant_id}_USD"
    before = shop.balances()[receivable]
    opened = shop.tell(**dispute(payment))
    assert (opened.status, opened.body["result"]) == (200, "applied")
    assert shop.payment(payment["id"])["dispute_status"] == "opened"
    assert shop.balances()[receivable] == before - 615
    refused = shop.post(f"/v1/payments/{payment['id']}/refund", {"amount": 401})
    assert (refused.status, refused.body["code"]) == (422, "amount_too_large")
    won = shop.tell(**dispute(payment, "dispute_won"))
    assert won.body["result"] == "applied"
    assert shop.payment(payment["id"])["dispute_status"] == "won"
    assert shop.balances()[receivable] == before - 15
    assert shop.post(f"/v1/payments/{payment['id']}/refund", {}).status == 200


def test_a_charge_can_be_identified_by_the_processors_own_id(shop: Shop) -> None:
    payment = shop.pay()
    charge_id = shop.payment(payment["id"])["transactions"][0]["processor_id"]
    reported = shop.tell(**dispute(payment, reference=None, charge_id=charge_id))
    assert reported.body["result"] == "applied"
    assert shop.payment(payment["id"])["dispute_status"] == "opened"


def test_a_repeated_event_changes_nothing(shop: Shop) -> None:
    payment = shop.pay()
    assert shop.tell(**dispute(payment)).body["result"] == "applied"
    once = shop.balances()
    version = shop.payment(payment["id"])["version"]
    assert shop.tell(**dispute(payment)).body["result"] == "duplicate"
    again_under_another_id = shop.tell(**dispute(payment, id="evt_other"))
    assert again_under_another_id.body["result"] == "unchanged"
    assert shop.balances() == once
    assert shop.payment(payment["id"])["version"] == version


def test_many_concurrent_copies_of_an_event_are_booked_once(shop: Shop) -> None:
    payment = shop.pay()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: shop.tell(**dispute(payment)), range(8)))
    assert {each.status for each in results} == {200}
    assert shop.balances()["acc_fees_USD"] == 59 + 15
    assert shop.payment(payment["id"])["version"] == payment["version"] + 1


def test_events_in_the_wrong_order_give_the_same_result(shop: Shop) -> None:
    payment = shop.pay()
    before = shop.balances()
    assert shop.tell(**dispute(payment, "dispute_won")).body["result"] == "applied"
    assert shop.tell(**dispute(payment)).body["result"] == "unchanged"
    assert shop.payment(payment["id"])["dispute_status"] == "won"
    fees = shop.balances()["acc_fees_USD"] - before["acc_fees_USD"]
    assert (fees, shop.balances()["acc_clearing_USD"]) == (15, before["acc_clearing_USD"])


def test_a_failed_refund_is_credited_to_the_merchant_again(shop: Shop) -> None:
    payment = shop.pay()
    path = f"/v1/payments/{payment['id']}/refund"
    refunded = shop.post(path, {"amount": 300}).body
    refund = next(each for each in refunded["transactions"] if each["type"] == "refund")
    before = shop.balances()
    reported = shop.tell("refund_failed", reference=refund["id"])
    assert reported.body["result"] == "applied"
    after = shop.payment(payment["id"])
    assert after["amount_refunded"] == 0
    failed = next(each for each in after["transactions"] if each["id"] == refund["id"])
    assert (failed["status"], failed["response_code"]) == ("failed", "refund_failed")
    assert [step["status"] for step in failed["audit_trail"]] == ["pending", "succeeded", "failed"]
    receivable = f"acc_receivable_{shop.merchant_id}_USD"
    assert shop.balances()[receivable] == before[receivable] + 300
    assert shop.tell("refund_failed", reference=refund["id"]).body["result"] == "duplicate"
    assert (
        shop.tell("refund_failed", reference=refund["id"], id="evt_2").body["result"] == "unchanged"
    )
    assert shop.post(path, {"amount": 700}).status == 200


def test_two_concurrent_notifications_of_one_failed_refund_book_it_once(shop: Shop) -> None:
    """The second is applied between the first one's reads of the refund and of its payment."""
    payment = shop.pay()
    refunded = shop.post(f"/v1/payments/{payment['id']}/refund", {}).body
    (refund,) = (each for each in refunded["transactions"] if each["type"] == "refund")
    before = shop.balances()
    others: list[Answered] = []

    def meanwhile(params: Any, **_: Any) -> None:
        if others or json.loads(params["body"])["TableName"] != shop.stage.tables["payments"]:
            return
        others.append(Answered(0, None, {}, ""))
        others.append(shop.tell("refund_failed", reference=refund["id"], id="evt_other"))

    events = process_services().client.meta.events
    events.register("before-call.dynamodb.GetItem", meanwhile)
    reported = shop.tell("refund_failed", reference=refund["id"])
    events.unregister("before-call.dynamodb.GetItem", meanwhile)
    assert (reported.status, reported.body["result"]) == (200, "duplicate")
    assert (others[-1].status, others[-1].body["result"]) == (200, "applied")
    receivable = f"acc_receivable_{shop.merchant_id}_USD"
    assert shop.balances()[receivable] - before[receivable] == payment["amount"]


def test_a_notification_about_an_unknown_charge_queries_the_processor_at_once(shop: Shop) -> None:
    payment = shop.pay(payment_method="tok_timeout")
    assert payment["status"] == "unknown"
    reported = shop.tell("charge_changed", reference=payment["id"])
    assert reported.body["result"] == "applied"
    assert shop.payment(payment["id"])["status"] == "succeeded"


@pytest.mark.parametrize(
    "wrong",
    [
        {"signed_with": "the secret of another merchant"},
        {"signed_at": time.time() - 2 * HOUR},
        {"signed_at": time.time() + 2 * HOUR},
    ],
)
def test_a_notification_without_a_current_signature_of_the_processor_is_refused(
    shop: Shop, wrong: dict[str, Any]
) -> None:
    payment = shop.pay()
    answer = shop.tell(**dispute(payment), **wrong)
    assert (answer.status, answer.body["code"]) == (401, "bad_signature")
    assert shop.payment(payment["id"])["dispute_status"] is None


def test_an_unsigned_or_altered_body_is_refused(shop: Shop) -> None:
    payment = shop.pay()
    body = json.dumps({"id": "evt_1", "type": "dispute_opened", "created": int(time.time())})
    header = sign_sandbox_event(body.encode(), SECRET, int(time.time()))
    assert shop.send(body, {}).status == 401
    assert shop.send(body.replace("evt_1", "evt_2"), {SIGNATURE_HEADER: header}).status == 401
    assert shop.payment(payment["id"])["dispute_status"] is None


def test_a_caller_without_a_secret_does_not_learn_which_merchants_exist(shop: Shop) -> None:
    there = shop.send("{}", {SIGNATURE_HEADER: "t=1,v1=" + "0" * 64})
    unknown = shop.send("{}", {SIGNATURE_HEADER: "t=1,v1=" + "0" * 64}, "merchant_id=mer_unknown")
    unnamed = shop.send("{}", {}, "")
    elsewhere = shop.send("{}", {"stripe-signature": "t=1,v1=00"}, processor="stripe")
    answers = (there, unknown, unnamed, elsewhere)
    assert {each.status for each in answers} == {401}
    assert {each.body["code"] for each in answers} == {"bad_signature"}
    assert {each.body["detail"] for each in (there, unknown, elsewhere)} == {unknown.body["detail"]}


def test_a_genuine_notification_cannot_reach_another_merchants_payment(
    stage: Stage, shop: Shop
) -> None:
    other = Shop(stage)
    theirs = other.pay()
    reported = shop.tell(**dispute(theirs), created=int(time.time()) - 2 * HOUR)
    assert reported.body["result"] == "kept"
    assert other.payment(theirs["id"])["dispute_status"] is None


def test_an_event_about_an_unknown_payment_is_requested_again_while_it_is_recent(
    shop: Shop,
) -> None:
    unknown = {"id": "pay_01KKNS5TM4QP61VS8JRRZ78SN4"}
    young = shop.tell(**dispute(unknown))
    assert (young.status, young.headers["Retry-After"]) == (503, "1")
    assert shop.kept() == []
    old = shop.tell(**dispute(unknown), created=int(time.time()) - 2 * HOUR)
    assert (old.status, old.body["result"]) == (200, "kept")
    (kept,) = shop.kept()
    assert (kept["reason"], kept["status"]) == ("unknown_payment", "unapplied")
    assert unknown["id"] in kept["detail"]


def test_a_dispute_in_another_currency_is_kept_alerted_and_not_booked(shop: Shop) -> None:
    payment = shop.pay()
    before = shop.balances()
    for event_id in ("evt_1", "evt_2"):
        answer = shop.tell(**dispute(payment, id=event_id, currency="EUR"))
        assert (answer.status, answer.body["result"]) == (200, "kept")
    assert shop.balances() == before
    (kept,) = shop.kept()
    assert (kept["reason"], kept["payment_id"]) == ("currency_mismatch", payment["id"])
    assert (kept["attempts"], kept["event_id"], kept["object_id"]) == (2, "evt_2", "dp_1")
    (alert,) = shop.items("alerts")
    assert alert["type"]["S"] == "processor_event_unapplied"
    assert alert["entity_id"]["S"] == kept["id"]
    refused = shop.apply(kept["id"])
    assert (refused.status, refused.body["code"]) == (409, "invalid_state")
    assert "payment" not in refused.body["title"]
    assert "EUR" in refused.body["detail"]
    assert shop.kept()[0]["attempts"] == 3


def test_a_kept_dispute_is_applied_once_however_often_it_is_requested(shop: Shop) -> None:
    payment = shop.pay()
    shop.tell(**dispute(payment, currency="EUR"))
    (kept,) = shop.kept()
    # The sandbox is corrected without a notification.
    shop.tell(**dispute(payment, id="evt_2", silent=True))
    before = shop.balances()["acc_clearing_USD"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: shop.apply(kept["id"]), range(4)))
    assert {each.status for each in answers} == {200}
    assert {each.body["status"] for each in answers} == {"applied"}
    again = shop.apply(kept["id"], {"idempotency-key": "one"})
    assert (again.status, again.body["applied_at"]) == (200, answers[0].body["applied_at"])
    assert shop.balances()["acc_clearing_USD"] == before + 600
    assert shop.payment(payment["id"])["dispute_status"] == "opened"
    assert shop.kept() == []
    assert [each["id"] for each in shop.kept("applied")] == [kept["id"]]


def test_a_kept_event_is_resolved_by_a_notification_that_can_be_applied(shop: Shop) -> None:
    payment = shop.pay()
    shop.tell(**dispute(payment, currency="EUR"))
    assert len(shop.kept()) == 1
    assert shop.tell(**dispute(payment, id="evt_2")).body["result"] == "applied"
    assert shop.kept() == []


def test_an_eleventh_dispute_is_booked_like_the_ten_before(shop: Shop) -> None:
    payment = shop.pay(amount=20_000)
    for n in range(11):
        more = {"id": f"evt_{n}", "dispute_id": f"dp_{n}", "amount": 100, "fee": 0}
        assert shop.tell(**dispute(payment, **more)).body["result"] == "applied"
    refused = shop.post(f"/v1/payments/{payment['id']}/refund", {"amount": 20_000 - 1099})
    assert refused.body["code"] == "amount_too_large"


def test_a_genuine_notification_cannot_reach_another_merchants_refund(
    shop: Shop, stage: Stage
) -> None:
    other = Shop(stage)
    payment = other.pay()
    refunded = other.post(f"/v1/payments/{payment['id']}/refund", {"amount": 300}).body
    theirs = next(each for each in refunded["transactions"] if each["type"] == "refund")
    old = int(time.time()) - 2 * HOUR
    reported = shop.tell("refund_failed", reference=theirs["id"], created=old)
    assert reported.body["result"] == "ignored"
    assert shop.kept() == []
    assert other.tell("refund_failed", reference="txn_1").status == 503
    assert other.payment(payment["id"])["amount_refunded"] == 300


def test_only_operators_see_kept_events(shop: Shop) -> None:
    shop.tell(**dispute({"id": "pay_1"}), created=int(time.time()) - 2 * HOUR)
    (kept,) = shop.kept()
    listed = shop.stage.api("GET", "/v1/processor-events", authorizer=shop.token)
    applied = shop.post(f"/v1/processor-events/{kept['id']}/apply", {})
    assert (listed.status, applied.status) == (403, 403)
    assert shop.apply("pev_01KKNS5TM4QP61VS8JRRZ78SN4").status == 404
    assert shop.apply("poll").status == 404
    everybody = shop.stage.api("GET", "/v1/processor-events", query="status=unapplied&limit=100")
    assert kept in everybody.body["data"]


def test_kept_events_are_listed_in_pages_newest_first(shop: Shop) -> None:
    old = int(time.time()) - 2 * HOUR
    for n in range(5):
        reported = {"id": f"evt_{n}", "dispute_id": f"dp_{n}", "created": old + n}
        shop.tell(**dispute({"id": "pay_1"}, **reported))
    path, whose = "/v1/processor-events", f"merchant_id={shop.merchant_id}&limit=2"
    pages, cursor = [], ""
    while True:
        page = shop.stage.api("GET", path, query=f"{whose}{cursor}").body
        pages.append([each["object_id"] for each in page["data"]])
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == [["dp_4", "dp_3"], ["dp_2", "dp_1"], ["dp_0"]]


def test_the_poll_applies_events_without_a_notification(shop: Shop) -> None:
    payment = shop.pay()
    path = f"/v1/payments/{payment['id']}/refund"
    refund = shop.post(path, {"amount": 300}).body["transactions"][-1]
    before = shop.balances()
    assert shop.tell(**dispute(payment, silent=True)).body["result"] == "ignored"
    shop.tell("refund_failed", reference=refund["id"], silent=True)
    assert shop.balances() == before
    first = shop.stage.api.poll()
    assert (first["finished"], first["failed"]) == (True, 0)
    after = shop.payment(payment["id"])
    assert (after["dispute_status"], after["amount_refunded"]) == ("opened", 0)
    assert shop.balances()["acc_clearing_USD"] == before["acc_clearing_USD"] + 600 - 300
    booked = shop.balances()
    shop.stage.api.poll()
    assert shop.balances() == booked


def test_the_poll_retries_kept_events(shop: Shop) -> None:
    payment = shop.pay()
    shop.tell(**dispute(payment, currency="EUR"))
    (kept,) = shop.kept()
    shop.stage.api.poll()
    assert [each["id"] for each in shop.kept()] == [kept["id"]]
    shop.tell(**dispute(payment, id="evt_2", silent=True))
    shop.stage.api.poll()
    assert shop.kept() == []
    assert shop.payment(payment["id"])["dispute_status"] == "opened"


def test_a_signed_notification_that_cannot_be_parsed_is_refused(shop: Shop) -> None:
    body = '{"id": "evt_1", "type": "dispute_opened", "created": "yesterday"}'
    header = sign_sandbox_event(body.encode(), SECRET, int(time.time()))
    answer = shop.send(body, {SIGNATURE_HEADER: header})
    assert (answer.status, answer.body["code"]) == (400, "malformed_json")


def test_an_unknown_processor_and_an_oversized_body_are_refused(
    shop: Shop,
) -> None:
    assert shop.send("{}", {}, processor="unknown").status == 404
    assert shop.send("x" * 300_000, {}).status == 413
    assert shop.send("{}", {}, "merchant_id=mer_1&more=1").status == 400


def test_a_merchant_without_a_secret_accepts_no_notification(stage: Stage) -> None:
    shop = Shop(stage)
    merchant = stage.shop()["id"]
    body = json.dumps({"id": "evt_1", "type": "dispute_opened", "created": int(time.time())})
    header = sign_sandbox_event(body.encode(), "", int(time.time()))
    answer = shop.send(body, {SIGNATURE_HEADER: header}, f"merchant_id={merchant}")
    assert (answer.status, answer.body["code"]) == (401, "bad_signature")
