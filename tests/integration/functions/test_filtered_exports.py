"""Exports through the deployed function: for each filter, the rows of the list that it filters."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from runtime.functions.export import export_services
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.reporting.exports.queue import ExportOrder
from tests.support.http import OPERATOR, token_of
from tests.support.stages.running_stage import Stage

LISTS = {
    "audit": "/v1/audit",
    "payments": "/v1/payments",
    "transactions": "/v1/transactions",
    "transfers": "/v1/transfers",
}


def _post(stage: Stage, path: str, body: Any, who: Any) -> Any:
    headers = {"idempotency-key": uuid.uuid4().hex}
    answer = stage.api("POST", path, body, headers=headers, authorizer=who)
    assert answer.status < 400, answer.text
    return answer.body


def _listed(stage: Stage, path: str, who: Any, **filters: str) -> list[Any]:
    query = urlencode({"limit": 100, **filters})
    answer = stage.api("GET", path, query=query, authorizer=who)
    assert answer.status == 200, answer.text
    rows: list[Any] = answer.body["data"]
    return rows


def _ordered(stage: Stage, who: Any, shop: Any, kind: str, **filters: str) -> ExportOrder:
    """The order of a new export."""
    body = {"format": "jsonl", **filters, "kind": kind}
    made = _post(stage, "/v1/exports", body, who)
    return ExportOrder(id=made["id"], merchant_id=shop["id"])


def _exported(stage: Stage, who: Any, shop: Any, kind: str, **filters: str) -> list[Any]:
    order = _ordered(stage, who, shop, kind, **filters)
    stage.api.export((uuid.uuid4().hex, order.model_dump_json()))
    export = stage.api("GET", f"/v1/exports/{order.id}", authorizer=who).body
    assert export["status"] == "completed", export
    key = urlsplit(export["result_url"]).path.removeprefix(f"/{stage.bucket}/")
    file = stage.aws.client("s3").get_object(Bucket=stage.bucket, Key=key)["Body"].read()
    return [json.loads(line) for line in file.splitlines()]


def _abandoned(stage: Stage, sale: Any, who: Any) -> None:
    """A payment whose request ends before the processor answers."""
    with pytest.MonkeyPatch.context() as machine:

        def charge(*_: Any) -> Any:
            raise RuntimeError("the environment ends here")

        machine.setattr(SandboxProcessor, "charge", charge)
        headers = {"idempotency-key": uuid.uuid4().hex}
        answer = stage.api("POST", "/v1/payments", sale, headers=headers, authorizer=who)
    assert answer.status == 500, answer.text


@pytest.fixture(scope="module")
def sold(stage: Stage) -> Any:
    """A shop with payments of several statuses, and transfers and holds of a customer."""
    shop = stage.shop()
    who = token_of(shop["id"])
    email = f"{uuid.uuid4().hex}@example.com"
    customer = _post(stage, "/v1/customers", {"name": "Ada", "email": email}, who)["id"]
    sale = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
    paid = _post(stage, "/v1/payments", {**sale, "customer_id": customer}, who)
    _post(stage, "/v1/payments", sale, who)
    declined = {**sale, "payment_method": "tok_declined"}
    headers = {"idempotency-key": uuid.uuid4().hex}
    assert (
        stage.api("POST", "/v1/payments", declined, headers=headers, authorizer=who).status == 402
    )
    _abandoned(stage, sale, who)
    wallet = {"account_type": "wallet", "currency": "USD", "merchant_id": shop["id"]}
    source = _post(stage, "/v1/accounts", {**wallet, "opening_balance": 5_000}, OPERATOR)["id"]
    hot = _post(stage, "/v1/accounts", {**wallet, "posting": "folded"}, OPERATOR)["id"]
    move = {"from_account_id": source, "to_account_id": hot, "amount": 5, "currency": "USD"}
    move["merchant_id"] = shop["id"]
    _post(stage, "/v1/transfers", {**move, "customer_id": customer}, OPERATOR)
    _post(stage, "/v1/transfers", {**move, "hold": True}, OPERATOR)
    hold = _post(stage, "/v1/transfers", {**move, "hold": True}, OPERATOR)
    _post(stage, f"/v1/transfers/{hold['id']}/post", {"merchant_id": shop["id"]}, OPERATOR)
    stage.project()
    detail = stage.api("GET", f"/v1/payments/{paid['id']}", authorizer=who).body
    return {
        "shop": shop,
        "customer_id": customer,
        "payment_id": paid["id"],
        "processor_id": detail["transactions"][0]["processor_id"],
        "account_id": hot,
        "entity_id": paid["id"],
    }


@pytest.mark.parametrize(
    ("kind", "filters"),
    [
        ("payments", {"customer_id": ""}),
        ("payments", {"status": "failed"}),
        ("payments", {"status": "processing"}),
        ("transactions", {"payment_id": ""}),
        ("transactions", {"processor_id": ""}),
        ("transfers", {}),
        ("transfers", {"customer_id": ""}),
        ("transfers", {"status": "pending"}),
        ("transfers", {"account_id": ""}),
        ("audit", {"user_id": "user"}),
        ("audit", {"entity_id": ""}),
    ],
    ids=str,
)
def test_an_export_has_the_rows_of_the_list_with_the_same_filter(
    stage: Stage, sold: Any, kind: str, filters: dict[str, str]
) -> None:
    who = token_of(sold["shop"]["id"])
    given = {name: value or sold[name] for name, value in filters.items()}
    listed = _listed(stage, LISTS[kind], who, **given)
    assert listed
    assert _exported(stage, who, sold["shop"], kind, **given) == listed


def test_an_export_is_written_after_the_writes_before_it_are_settled(
    stage: Stage, sold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, who = export_services(), token_of(sold["shop"]["id"])
    order = _ordered(stage, who, sold["shop"], "entries", format="beancount")
    later = replace(services.dependencies, settle=timedelta(minutes=10))
    monkeypatch.setattr(services, "dependencies", later)
    stage.api.export(("first", order.model_dump_json()))
    export = stage.api("GET", f"/v1/exports/{order.id}", authorizer=who).body
    assert export["status"] == "queued", export
    # The next turn is in the queue, where it is not visible before the writes are settled.
    sqs = stage.aws.client("sqs")
    names = ["ApproximateNumberOfMessagesDelayed"]
    counts = sqs.get_queue_attributes(QueueUrl=stage.queue_url, AttributeNames=names)["Attributes"]
    assert int(counts[names[0]]) == 1


def test_an_operator_finds_a_merchant_by_its_address(stage: Stage, sold: Any) -> None:
    shop = sold["shop"]
    found = _listed(stage, "/v1/merchants", OPERATOR, email=shop["email"])
    assert [each["id"] for each in found] == [shop["id"]]
