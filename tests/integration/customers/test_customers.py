"""Customers and their payment methods, through the functions as they are deployed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from runtime.core.errors import KeyForgotten, NotFound
from runtime.core.scope import Scope
from runtime.customers.api import CustomerRequest, MethodRequest
from runtime.customers.customers import create_customer, erase_customer
from runtime.customers.models import Customer
from runtime.customers.payment_methods import add_method
from runtime.customers.repository import CustomerRepository
from runtime.encryption.models import DataKey
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import completed, earlier_answer, new_claim
from tests.support.http import OPERATOR, Answered, token_of
from tests.support.platform import Platform
from tests.support.stages.running_stage import Stage

PERSON = {
    "name": "Ada Planted",
    "email": "ada.planted@example.com",
    "phone": "+44 20 7946 0000",
    "metadata": {"tier": "gold"},
}
CARD = {"type": "card", "token": "tok_approved", "last4": "4242", "brand": "visa"}


class Shop:
    """One merchant, and its requests."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.row = stage.shop()
        self.who = token_of(self.row["id"])

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> Answered:
        if "key" in more:
            more["headers"] = {"idempotency-key": more.pop("key")}
        return self.stage.api(method, path, body, authorizer=more.pop("who", self.who), **more)

    def customer(self, **changes: Any) -> str:
        made = self("POST", "/v1/customers", {**PERSON, **changes})
        assert made.status == 201, made.text
        return str(made.body["id"])


@pytest.fixture
def shop(stage: Stage) -> Shop:
    return Shop(stage)


def raw(stage: Stage, table: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for page in stage.dynamodb.get_paginator("scan").paginate(TableName=stage.tables[table]):
        items += page["Items"]
    return items


def test_a_customer_is_changed_field_by_field_and_found_by_its_new_address(shop: Shop) -> None:
    one = shop.customer()
    path = f"/v1/customers/{one}"
    changed = shop("PATCH", path, {"email": "Ada@Elsewhere.example", "phone": None})
    assert changed.status == 200
    assert (changed.body["phone"], changed.body["name"]) == (None, PERSON["name"])
    assert changed.body["version"] == 2
    assert shop("GET", path).body == changed.body
    found = shop("GET", "/v1/customers", query="email=ADA@elsewhere.EXAMPLE")
    assert [each["id"] for each in found.body["data"]] == [one]
    assert shop("GET", "/v1/customers", query="email=ada.planted@example.com").body["data"] == []


def test_a_change_of_another_version_or_without_fields_changes_nothing(shop: Shop) -> None:
    path = f"/v1/customers/{shop.customer()}"
    assert shop("PATCH", path, {"name": "B", "version": 1}).status == 200
    stale = shop("PATCH", path, {"name": "C", "version": 1})
    assert (stale.status, stale.body["code"], stale.body["param"]) == (
        409,
        "stale_version",
        "version",
    )
    assert shop("PATCH", path, {}).body["version"] == 2
    assert shop("PATCH", path, {"name": None}).status == 422
    assert shop("PATCH", path, {"default_method": "pm_none"}).status == 422


def test_customers_with_one_address_are_listed_in_pages_newest_first(shop: Shop) -> None:
    made = [shop.customer(email="many@example.com") for _ in range(5)]
    seen: list[str] = []
    query = "email=many@example.com&limit=2"
    while True:
        page = shop("GET", "/v1/customers", query=query).body
        seen += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        query = f"email=many@example.com&limit=2&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    other = shop("GET", "/v1/customers", query=f"email=ada@example.com&cursor={'x' * 20}")
    assert other.status == 400


def test_an_address_is_looked_up_within_the_merchant_alone(shop: Shop, stage: Stage) -> None:
    shop.customer(email="shared@example.com")
    assert Shop(stage)("GET", "/v1/customers", query="email=shared@example.com").body["data"] == []
    everybody = shop("GET", "/v1/customers").body["data"]
    assert [each["email"] for each in everybody] == ["shared@example.com"]


def test_a_payment_method_is_stored_without_its_token_and_can_be_charged(
    shop: Shop, stage: Stage
) -> None:
    one = shop.customer()
    methods = f"/v1/customers/{one}/payment-methods"
    added = shop("POST", methods, {**CARD, "is_default": True})
    assert added.status == 201
    assert "token" not in added.body
    assert added.body["is_default"] is True
    detail = shop("GET", f"/v1/customers/{one}").body
    assert detail["default_method"] == added.body["id"]
    assert [each["last4"] for each in detail["payment_methods"]] == ["4242"]
    sale = {"amount": 500, "currency": "USD", "customer_id": one}
    method = added.body["id"]
    paid = shop("POST", "/v1/payments", {**sale, "payment_method": method}, key="a")
    assert (paid.status, paid.body["payment_method"]) == (201, method)
    declined = shop("POST", methods, {**CARD, "token": "tok_declined"}).body["id"]
    assert shop("POST", "/v1/payments", {**sale, "payment_method": declined}, key="b").status == 402
    nameless = {"amount": 1, "currency": "USD", "payment_method": method}
    assert shop("POST", "/v1/payments", nameless, key="c").body["param"] == "customer_id"
    unknown = shop("POST", "/v1/payments", {**sale, "payment_method": "pm_none"}, key="d")
    assert (unknown.status, unknown.body["param"]) == (404, "payment_method")


def test_deleting_a_method_deletes_its_token_and_answered_payments_are_still_repeated(
    shop: Shop,
) -> None:
    one = shop.customer()
    methods = f"/v1/customers/{one}/payment-methods"
    method = shop("POST", methods, {**CARD, "is_default": True}).body["id"]
    sale = {"amount": 5, "currency": "USD", "customer_id": one, "payment_method": method}
    first = shop("POST", "/v1/payments", sale, key="same")
    assert shop("DELETE", f"{methods}/{method}").status == 204
    assert shop("DELETE", f"{methods}/{method}").status == 404
    assert shop("GET", f"/v1/customers/{one}").body["default_method"] is None
    again = shop("POST", "/v1/payments", sale, key="same")
    assert (again.status, again.text) == (201, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop("POST", "/v1/payments", sale, key="another").status == 404
    assert shop("POST", "/v1/payments", {**sale, "amount": 6}, key="same").status == 422


def test_an_unknown_payment_by_a_method_deleted_since_is_shown_as_stored(shop: Shop) -> None:
    one = shop.customer()
    methods = f"/v1/customers/{one}/payment-methods"
    method = shop("POST", methods, {**CARD, "token": "tok_timeout"}).body["id"]
    sale = {"amount": 5, "currency": "USD", "customer_id": one, "payment_method": method}
    assert shop("POST", "/v1/payments", sale, key="lost").status == 202
    assert shop("DELETE", f"{methods}/{method}").status == 204
    again = shop("POST", "/v1/payments", sale, key="lost")
    assert (again.status, again.body["status"]) == (202, "unknown")
    shop.stage.api.resolve()


def test_a_customer_has_a_limited_number_of_methods(shop: Shop) -> None:
    path = f"/v1/customers/{shop.customer()}/payment-methods"
    assert {shop("POST", path, CARD).status for _ in range(20)} == {201}
    refused = shop("POST", path, CARD)
    assert (refused.status, refused.body["code"]) == (422, "too_many_payment_methods")


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "4242 4242 4242 4242"},
        {"token": "4242424242424242"},
        {"last4": "42424"},
        {"expiry_month": 13},
        {"type": "cash"},
        {"token": "~^"},
        {"cvv": "123"},
    ],
)
def test_an_invalid_method_is_refused_without_repeating_its_token(
    shop: Shop, wrong: dict[str, Any]
) -> None:
    path = f"/v1/customers/{shop.customer()}/payment-methods"
    answer = shop("POST", path, {**CARD, **wrong})
    assert answer.status in (400, 422), answer.text
    assert str(wrong.get("token", "-none-")) not in answer.text


def test_methods_added_at_once_are_all_kept(platform: Platform) -> None:
    merchant = platform.merchant()
    one = platform.customer(merchant)
    deps = platform.customer_dependencies()

    def add(_: int) -> str:
        answer = add_method(one, MethodRequest(**CARD), platform.call(merchant, CARD), deps)
        return str(json.loads(answer.body)["id"])

    with ThreadPoolExecutor(4) as pool:
        kept = set(pool.map(add, range(8)))
    (row,) = [row for row in platform.rows(Customer) if row.id == one]
    assert {each.id for each in row.payment_methods} == set(row.payment_tokens) == kept
    assert row.version == 1 + len(kept)


def test_a_customer_erased_while_it_is_changed_stays_erased(platform: Platform) -> None:
    merchant = platform.merchant()
    deps = platform.customer_dependencies()
    for _ in range(10):
        one = platform.customer(merchant)

        def add(customer_id: str = one) -> None:
            with suppress(NotFound):
                add_method(customer_id, MethodRequest(**CARD), platform.call(merchant, CARD), deps)

        with ThreadPoolExecutor(4) as pool:
            racing = [pool.submit(add) for _ in range(3)]
            erased = pool.submit(erase_customer, one, platform.call(merchant), deps)
            assert erased.result().status == 204
            for each in racing:
                each.result()
        (row,) = [row for row in platform.rows(Customer) if row.id == one]
        assert (row.email, row.payment_methods, row.payment_tokens) == (None, (), {})
        with pytest.raises(NotFound):
            add_method(one, MethodRequest(**CARD), platform.call(merchant, CARD), deps)


class ErasedMeanwhile:
    """A client of the database; the first customer that it reads is erased right after."""

    def __init__(self, client: Any, erase: Callable[[], Any]) -> None:
        self._client, self._erase = client, erase

    def get_item(self, **request: Any) -> Any:
        answer = self._client.get_item(**request)
        erase, self._erase = self._erase, lambda: None
        erase()
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_customer_erased_while_a_payment_method_is_added_is_not_found(platform: Platform) -> None:
    merchant, deps = platform.merchant(), platform.customer_dependencies()
    one = platform.customer(merchant)
    client = ErasedMeanwhile(
        platform.client,
        lambda: erase_customer(one, platform.call(merchant), platform.customer_dependencies()),
    )
    deps = replace(deps, customers=CustomerRepository(platform.store_on(client)))
    with pytest.raises(NotFound):
        add_method(one, MethodRequest(**CARD), platform.call(merchant, CARD), deps)


class AttemptedMeanwhile:
    """A client of the database; `meanwhile` happens right before its first write."""

    def __init__(self, client: Any, meanwhile: Callable[[], Any]) -> None:
        self._client, self._meanwhile = client, meanwhile

    def transact_write_items(self, **request: Any) -> Any:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return self._client.transact_write_items(**request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_repetition_whose_customer_was_created_and_erased_since_is_not_found(
    platform: Platform,
) -> None:
    merchant, deps = platform.merchant(), platform.customer_dependencies()
    call = platform.call(merchant, PERSON, key="twice", path="/v1/customers")
    request = CustomerRequest(**PERSON)

    def first_attempt() -> None:
        made = json.loads(create_customer(request, call, deps).body)["id"]
        assert erase_customer(made, platform.call(merchant), deps).status == 204

    store = platform.store_on(AttemptedMeanwhile(platform.client, first_attempt))
    with pytest.raises(NotFound, match="has been erased"):
        create_customer(request, call, replace(deps, customers=CustomerRepository(store)))
    (row,) = platform.rows(Customer)
    assert row.erased_at is not None, "the repetition creates no second customer"


def test_a_repetition_whose_method_was_added_and_customer_erased_since_is_not_found(
    platform: Platform,
) -> None:
    merchant, deps = platform.merchant(), platform.customer_dependencies()
    one = platform.customer(merchant)
    call = platform.call(merchant, CARD, key="twice", path=f"/v1/customers/{one}/payment-methods")

    def first_attempt() -> None:
        assert add_method(one, MethodRequest(**CARD), call, deps).status == 201
        assert erase_customer(one, platform.call(merchant), deps).status == 204

    store = platform.store_on(AttemptedMeanwhile(platform.client, first_attempt))
    with pytest.raises(NotFound, match="has been erased"):
        add_method(
            one, MethodRequest(**CARD), call, replace(deps, customers=CustomerRepository(store))
        )


def test_a_stored_answer_whose_merchants_key_is_lost_is_an_error_and_not_an_erasure(
    platform: Platform,
) -> None:
    merchant, deps = platform.merchant(), platform.customer_dependencies()
    call = platform.call(merchant, PERSON, key="first", path="/v1/customers")
    claim = new_claim(call, merchant.id, owner="att-1")
    assert claim is not None
    platform.put(completed(claim, StoredAnswer(201, "{}"), 2_000_000_000))
    for row in platform.rows(DataKey):
        if row.subject == f"pii#{merchant.id}":
            platform.delete(row)
    platform.forget_keys()
    with pytest.raises(KeyForgotten):
        earlier_answer(call, merchant.id, deps.claims)


def test_a_key_created_after_the_erasure_is_not_mistaken_for_the_erased_one(
    platform: Platform,
) -> None:
    merchant, deps = platform.merchant(), platform.customer_dependencies()
    call = platform.call(merchant, PERSON, key="first", path="/v1/customers")
    request = CustomerRequest(**PERSON)
    one = json.loads(create_customer(request, call, deps).body)["id"]
    assert erase_customer(one, platform.call(merchant), deps).status == 204
    # A request that has read the customer before its erasure prepares its write, which is refused.
    platform.encryption.prepare("pii", one)
    platform.forget_keys()
    with pytest.raises(NotFound, match="has been erased"):
        create_customer(request, call, deps)
    keys = [row for row in platform.rows(DataKey) if row.subject == f"pii#{one}"]
    assert [(row.key_id, row.wrapped is None) for row in keys] == [
        ("k000000001", True),
        ("k000000002", False),
    ]


def test_a_customer_erased_while_it_is_charged_has_no_payment_methods(platform: Platform) -> None:
    merchant = platform.merchant()
    one = platform.customer(merchant)
    add_method(
        one,
        MethodRequest(**CARD),
        platform.call(merchant, CARD, key="m"),
        platform.customer_dependencies(),
    )
    client = ErasedMeanwhile(
        platform.client,
        lambda: erase_customer(one, platform.call(merchant), platform.customer_dependencies()),
    )
    assert CustomerRepository(platform.store_on(client)).tokens(one, Scope(merchant.id)) is None


def test_an_erased_customer_is_deleted_with_its_keys_and_its_payments_remain(
    shop: Shop, stage: Stage
) -> None:
    key = uuid.uuid4().hex
    one = shop("POST", "/v1/customers", PERSON, key=key).body["id"]
    shop("POST", f"/v1/customers/{one}/payment-methods", CARD)
    sale = {"amount": 7, "currency": "USD", "customer_id": one, "payment_method": "tok_approved"}
    payment = shop("POST", "/v1/payments", sale, key="p").body["id"]
    (before,) = [item for item in raw(stage, "customers") if item["id"]["S"] == one]
    assert shop("DELETE", f"/v1/customers/{one}").status == 204
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "X"}),
        ("DELETE", "", None),
        ("POST", "/payment-methods", CARD),
    ):
        assert shop(method, f"/v1/customers/{one}{path}", body).status == 404, (method, path)
    assert shop("POST", f"/v1/customers/{one}/unlock", who=OPERATOR).status == 404
    assert shop("POST", "/v1/customers", PERSON, key=key).status == 404, "no replay brings it back"
    assert shop("POST", "/v1/payments", sale, key="q").status == 404
    wallet = {"account_type": "wallet", "currency": "USD", "customer_id": one}
    assert shop("POST", "/v1/accounts", wallet).status == 404
    assert shop("GET", f"/v1/payments/{payment}").body["customer_id"] == one
    listed = shop("GET", "/v1/payments", query=f"customer_id={one}").body["data"]
    assert [each["id"] for each in listed] == [payment]
    keys = [item for item in raw(stage, "keys") if one in item["subject"]["S"]]
    assert len(keys) == 2
    assert not [item for item in keys if "wrapped" in item], (
        "the rest of a key cannot decrypt anything"
    )
    (left,) = [item for item in raw(stage, "customers") if item["id"]["S"] == one]
    assert {"email", "name", "phone", "email_index", "payment_methods"}.isdisjoint(left)
    assert left["version"]["N"] == "3"
    # Restoring the old row, for example from a backup, gives ciphertext without a key.
    stage.dynamodb.put_item(TableName=stage.tables["customers"], Item=before)
    restored = shop("GET", f"/v1/customers/{one}")
    assert (restored.status, restored.body["code"]) == (500, "key_forgotten")
    assert "planted" not in restored.text.lower()


def test_the_table_contains_no_personal_data_in_plaintext(shop: Shop, stage: Stage) -> None:
    one = shop.customer(name="Grace Marked", email="grace.marked@example.com", phone="+1 555 77 66")
    token = {**CARD, "token": "tok_marked_secret"}
    assert shop("POST", f"/v1/customers/{one}/payment-methods", token, key="k").status == 201
    everything = [repr(item).lower() for table in stage.tables for item in raw(stage, table)]
    assert any(one.lower() in text for text in everything), "the dump holds the customer's row"
    for marked in ("grace", "marked@example", "555 77", "tok_marked_secret"):
        assert not [text for text in everything if marked in text], marked


def test_a_moved_ciphertext_is_an_integrity_error_without_detail(shop: Shop, stage: Stage) -> None:
    one, other = shop.customer(), shop.customer(name="Second Customer")
    table = stage.tables["customers"]
    items = {item["id"]["S"]: item for item in raw(stage, "customers")}
    stage.dynamodb.put_item(TableName=table, Item={**items[one], "name": items[other]["name"]})
    moved = shop("GET", f"/v1/customers/{one}")
    assert (moved.status, moved.body["code"]) == (500, "integrity_error")
    assert "Second Customer" not in moved.text
    stage.dynamodb.put_item(TableName=table, Item={**items[one], "name": items[one]["email"]})
    assert shop("GET", f"/v1/customers/{one}").body["code"] == "integrity_error"
    plain = {**items[one], "name": {"S": json.dumps("in clear")}}
    stage.dynamodb.put_item(TableName=table, Item=plain)
    assert shop("GET", f"/v1/customers/{one}").body["code"] == "integrity_error"
    assert shop("DELETE", f"/v1/customers/{one}").status == 204, (
        "an unreadable customer can be erased"
    )
    (alert,) = [each for each in raw(stage, "alerts") if each["entity_id"]["S"] == one]
    assert alert["type"]["S"] == "decryption_failure", "one alert a day"
    assert alert["merchant_id"]["S"] == items[one]["merchant_id"]["S"]
    assert {name: value["S"] for name, value in alert["detail"]["M"].items()} == {
        "entity_type": "customers",
        "code": "integrity_error",
        "attribute": "name",
    }


def test_an_operator_and_the_merchant_with_its_permission_can_unlock(
    shop: Shop, stage: Stage
) -> None:
    one = shop.customer()
    stage.dynamodb.update_item(
        TableName=stage.tables["customers"],
        Key={"id": {"S": one}},
        UpdateExpression="SET locked_until = :u, failed_attempts = :n",
        ExpressionAttributeValues={":u": {"S": "2999-01-01T00:00:00.000Z"}, ":n": {"N": "3"}},
    )
    path = f"/v1/customers/{one}/unlock"
    for lacking in ("customers payments", "admin customers"):
        assert shop("POST", path, who=token_of(shop.row["id"], lacking)).status == 403
    foreign = token_of(str(stage.shop()["id"]), "merchant customers")
    assert shop("POST", path, who=foreign).status == 404
    assert shop("GET", f"/v1/customers/{one}").body["locked_until"] is not None
    for key, who in (("u", OPERATOR), ("v", token_of(shop.row["id"], "merchant"))):
        first = shop("POST", path, key=key, who=who)
        assert (first.status, first.body["locked_until"]) == (200, None)
        assert shop("POST", path, key=key, who=who).text == first.text
