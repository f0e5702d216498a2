"""The Lambda functions from event to answer, on tables in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.support.http import (
    EVERYTHING,
    OPERATOR,
    Functions,
    http_event,
    token_of,
)
from tests.support.stages.moto_stage import functions_on_moto

KEY = {"idempotency-key": "k"}


@pytest.fixture(scope="module")
def api() -> Iterator[Functions]:
    with functions_on_moto() as made:
        yield made


@pytest.fixture(scope="module")
def shop(api: Functions) -> dict[str, Any]:
    answer = api("POST", "/v1/merchants", {"name": "Shop", "email": "shop@example.com"})
    assert answer.status == 201
    made: dict[str, Any] = answer.body
    return made


def test_a_merchants_secret_is_shown_once_and_never_again(
    api: Functions, shop: dict[str, Any]
) -> None:
    assert shop["webhook_secret"].startswith("whsec_")
    again = api("GET", f"/v1/merchants/{shop['id']}")
    assert again.status == 200
    assert "webhook_secret" not in again.body
    assert shop["webhook_secret"] not in again.text
    assert {k: v for k, v in shop.items() if k != "webhook_secret"} == again.body


def test_a_merchants_webhook_url_is_stored_as_given(api: Functions) -> None:
    url = "https://Shop.example.com:8443/hook?token=a%20b"
    body = {"name": "Shop", "email": "shop@example.com", "webhook_url": url}
    made = api("POST", "/v1/merchants", body)
    assert (made.status, made.body["webhook_url"]) == (201, url)
    assert api("GET", f"/v1/merchants/{made.body['id']}").body["webhook_url"] == url


@pytest.mark.parametrize(
    "url", ["http://localhost:9000/", "https://169.254.169.254/", "https://a:secret@b.example/"]
)
def test_a_merchant_with_a_forbidden_webhook_url_is_refused(api: Functions, url: str) -> None:
    body = {"name": "Shop", "email": "refused@example.com", "webhook_url": url}
    answer = api("POST", "/v1/merchants", body)
    assert (answer.status, answer.body["code"]) == (422, "invalid_value")
    assert answer.body["param"] == "webhook_url"
    assert answer.body["detail"].startswith("webhook_url ")
    assert "secret" not in answer.text
    rows = boto3.client("dynamodb").scan(TableName="merchants")["Items"]
    assert "refused@example.com" not in str(rows)


def test_a_merchants_features_are_always_in_the_same_order(api: Functions) -> None:
    body = {"name": "Shop", "email": "shop@example.com", "features": ["c", "a", "d", "b", "a"]}
    made = api("POST", "/v1/merchants", body)
    assert made.body["features"] == ["a", "b", "c", "d"]
    assert api("GET", f"/v1/merchants/{made.body['id']}").body["features"] == ["a", "b", "c", "d"]


def test_a_merchant_can_only_read_itself(api: Functions, shop: dict[str, Any]) -> None:
    path = f"/v1/merchants/{shop['id']}"
    assert api("GET", path, authorizer=token_of(shop["id"])).status == 200
    other = api("GET", path, authorizer=token_of("mer_other"))
    assert (other.status, other.body["code"]) == (404, "not_found")


def test_a_payment_is_created_listed_and_repeated_exactly(
    api: Functions, shop: dict[str, Any]
) -> None:
    body = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
    who = token_of(shop["id"])
    first = api("POST", "/v1/payments", body, headers=KEY, authorizer=who)
    again = api("POST", "/v1/payments", body, headers=KEY, authorizer=who)
    assert first.status == again.status == 201
    assert first.text == again.text
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    reused = api("POST", "/v1/payments", {**body, "amount": 7}, headers=KEY, authorizer=who)
    assert (reused.status, reused.body["code"]) == (422, "idempotency_key_reused")
    listed = api("GET", "/v1/payments", query="limit=1", authorizer=who)
    assert [row["id"] for row in listed.body["data"]] == [first.body["id"]]
    detail = api("GET", f"/v1/payments/{first.body['id']}", authorizer=who)
    assert detail.body["transactions"][0]["fee"] == 59


def test_a_decline_is_a_problem_with_its_payment(api: Functions, shop: dict[str, Any]) -> None:
    body = {"amount": 1, "currency": "USD", "payment_method": "tok_expired_card"}
    headers = {"idempotency-key": "declined"}
    answer = api("POST", "/v1/payments", body, headers=headers, authorizer=token_of(shop["id"]))
    assert answer.status == 402
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["code"] == "declined"
    assert answer.body["decline_code"] == "expired_card"
    assert answer.body["payment_id"].startswith("pay_")
    assert answer.body["instance"] == "/v1/payments"


def test_a_customers_personal_data_is_encrypted_and_returned(
    api: Functions, shop: dict[str, Any]
) -> None:
    who = token_of(shop["id"])
    body = {"name": "Jane Doe", "email": "Jane@Example.com", "phone": "+49 171 1234567"}
    made = api("POST", "/v1/customers", body, headers=KEY, authorizer=who)
    assert made.status == 201
    assert api("POST", "/v1/customers", body, headers=KEY, authorizer=who).text == made.text
    seen = api("GET", f"/v1/customers/{made.body['id']}", authorizer=who)
    assert seen.body == made.body
    (item,) = boto3.client("dynamodb").scan(TableName="customers")["Items"]
    assert "Jane" not in str(item)
    assert "example.com" not in str(item).lower()
    assert (
        api("GET", f"/v1/customers/{made.body['id']}", authorizer=token_of("mer_2")).status == 404
    )


def test_an_account_number_is_taken_once(api: Functions, shop: dict[str, Any]) -> None:
    who = token_of(shop["id"])
    body = {"account_type": "wallet", "currency": "JPY", "account_number": "DE-1234"}
    made = api("POST", "/v1/accounts", body, authorizer=who)
    assert (made.status, made.body["formatted_balance"]) == (201, "0 JPY")
    taken = api("POST", "/v1/accounts", body, authorizer=who)
    assert (taken.status, taken.body["param"]) == (409, "account_number")
    assert api("GET", f"/v1/accounts/{made.body['id']}", authorizer=who).body == made.body
    for guard in ("number#DE-1234", "number%23DE-1234"):
        assert api("GET", f"/v1/accounts/{guard}", authorizer=who).status == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"account_type": "system"}, "account_type"),
        ({"account_type": "merchant"}, "account_type"),
        ({"account_type": "wallet", "credit_limit": 1}, "credit_limit"),
        ({"account_type": "wallet", "posting": "folded"}, "posting"),
    ],
)
def test_operator_routes_are_forbidden_to_merchants(
    api: Functions, shop: dict[str, Any], body: dict[str, Any], param: str
) -> None:
    full = {"currency": "USD", **body}
    refused = api("POST", "/v1/accounts", full, authorizer=token_of(shop["id"]))
    assert (refused.status, refused.body["param"]) == (403, param)
    assert api("POST", "/v1/accounts", full).status == 201


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/v1", 404),
        ("/v1/nothing", 404),
        ("/v1/payments/", 404),
        ("/v1/payments/x/y", 404),
        ("/v2/payments", 404),
        ("/v1/payments/pay_unknown", 404),
        ("/v1/settlements/set_unknown/lines", 404),
    ],
)
def test_a_missing_resource_is_a_problem_document(api: Functions, path: str, status: int) -> None:
    answer = api("GET", path)
    assert (answer.status, answer.body["code"]) == (status, "not_found")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        (
            "/v1/payments/",
            "There is nothing at /v1/payments/ (without the trailing slash: /v1/payments)",
        ),
        ("/v1/nothing/", "There is nothing at /v1/nothing/"),
    ],
)
def test_a_trailing_slash_is_pointed_out_if_it_is_the_only_mistake(
    api: Functions, path: str, detail: str
) -> None:
    assert api("GET", path).body["detail"] == detail


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_method_not_allowed_lists_the_allowed_ones(api: Functions, method: str) -> None:
    answer = api.send("query", http_event(method, "/v1/payments", authorizer=OPERATOR))
    assert (answer.status, answer.body["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_an_internal_error_is_a_500_without_details(
    api: Functions, shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    who = token_of(shop["id"])
    made = api(
        "POST", "/v1/accounts", {"account_type": "wallet", "currency": "USD"}, authorizer=who
    )
    key = {"id": {"S": made.body["id"]}, "shard": {"S": "00"}}
    boto3.client("dynamodb").update_item(
        TableName="accounts",
        Key=key,
        UpdateExpression="SET #s = :v",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":v": {"S": "no-such-status"}},
    )
    answer = api("GET", f"/v1/accounts/{made.body['id']}", authorizer=who)
    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    for inside in ("Traceback", "ValidationError", "no-such-status", "pydantic", ".py"):
        assert inside not in answer.text
    assert answer.body["request_id"] in answer.body["detail"]
    assert answer.headers["X-Request-Id"] == answer.body["request_id"]


def test_responses_must_not_be_cached(api: Functions, shop: dict[str, Any]) -> None:
    answer = api("GET", f"/v1/merchants/{shop['id']}")
    assert answer.headers["Cache-Control"] == "no-store"


def test_public_routes_answer_without_a_token(api: Functions) -> None:
    assert api("GET", "/v1/health", authorizer=None).body == {"status": "ok", "stage": "test"}
    assert api("GET", "/v1/openapi.json", authorizer=None).body["openapi"] == "3.1.0"
    page = api("GET", "/v1/docs", authorizer=None)
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["X-Request-Id"].startswith("req_")


def test_an_unreadable_message_fails_alone(api: Functions, shop: dict[str, Any]) -> None:
    good = f"reconciliation/{shop['id']}/2026-03-15.csv"
    header = (
        "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date"
    )
    boto3.client("s3").put_object(Bucket="bucket", Key=good, Body=f"{header}\nbroken\n".encode())
    arrived = json.dumps({"detail": {"object": {"key": good}}})
    answer = api.reconcile_messages("nothing", arrived)
    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    assert failed == ["message-0"]
    sqs = boto3.client("sqs")
    assert api.work_settlement_queue(sqs, sqs.get_queue_url(QueueName="queue")["QueueUrl"]) == 1
    who = token_of(shop["id"])
    (settlement,) = api("GET", "/v1/settlements", authorizer=who).body["data"]
    assert settlement["status"] == "completed_with_exceptions"
    lines = api("GET", f"/v1/settlements/{settlement['id']}/lines", authorizer=who).body["data"]
    assert [(line["line"], line["status"]) for line in lines] == [(2, "invalid")]


def test_the_resolvers_schedule_returns_its_report(api: Functions, shop: dict[str, Any]) -> None:
    body = {"amount": 5, "currency": "USD", "payment_method": "tok_timeout"}
    headers = {"idempotency-key": "lost"}
    who = token_of(shop["id"])
    first = api("POST", "/v1/payments", body, headers=headers, authorizer=who)
    assert (first.status, first.body["status"]) == (202, "unknown")
    assert api.resolve() == {
        "due": 1,
        "resolved": 1,
        "waiting": 0,
        "over": 0,
        "failed": 0,
        "too_old": 0,
        "oldest_open_seconds": 0.0,
        "stopped_early": False,
        "customer": 0,
    }
    final = api("POST", "/v1/payments", body, headers=headers, authorizer=who)
    assert (final.status, final.body["status"]) == (201, "succeeded")


def test_permissions_come_from_the_token(api: Functions, shop: dict[str, Any]) -> None:
    assert api("GET", "/v1/payments", authorizer=token_of(shop["id"], EVERYTHING)).status == 200
    assert api("GET", "/v1/payments", authorizer=token_of(shop["id"], "payment")).status == 403
