"""API keys from creation to revocation, through the functions, on tables in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from traceback import format_exc
from typing import Any

import boto3
import pytest

from runtime.core.observability import logger
from runtime.functions.authorize import authorizer_services
from tests.support.http import Functions, token_of
from tests.support.stages.moto_stage import functions_on_moto

REFUSED = {"isAuthorized": True, "context": {"version": "1", "outcome": "invalid"}}
UNDECIDED = {"version": "1", "outcome": "undecided", "retry_after": "60"}


@pytest.fixture(scope="module")
def api() -> Iterator[Functions]:
    with functions_on_moto() as made:
        yield made


@pytest.fixture
def shop(api: Functions) -> str:
    answer = api("POST", "/v1/merchants", {"name": "Shop", "email": "shop@example.com"})
    return str(answer.body["id"])


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda _, **fields: seen.append(fields["reason"]))
    return seen


def make(api: Functions, shop: str, **changes: Any) -> dict[str, Any]:
    body = {"merchant_id": shop, "name": "till 1", "permissions": ["payments"], **changes}
    answer = api("POST", "/v1/api-keys", body)
    assert answer.status == 201, answer.text
    made: dict[str, Any] = answer.body
    return made


def is_good(api: Functions, secret: str) -> bool:
    return bool(api.judge(secret)["context"]["outcome"] == "verified")


def stored(prefix: str) -> dict[str, Any]:
    item: dict[str, Any] = boto3.client("dynamodb").get_item(
        TableName="api_keys", Key={"prefix": {"S": prefix}}
    )["Item"]
    return item


def test_a_key_is_shown_once_and_stored_as_a_hash(api: Functions, shop: str) -> None:
    made = make(api, shop, permissions=["reports", "payments", "reports"])
    assert made["secret"].startswith(f"sk_{made['id']}_")
    assert made["permissions"] == ["payments", "reports"]
    assert (made["merchant_id"], made["revoked_at"], made["last_used_at"]) == (shop, None, None)
    assert made["secret"][-43:] not in json.dumps(stored(made["id"]))
    listed = api("GET", "/v1/api-keys", query=f"merchant_id={shop}")
    assert listed.body["data"] == [{k: v for k, v in made.items() if k != "secret"}]
    assert made["secret"][-43:] not in listed.text


def test_a_key_grants_only_its_permissions(api: Functions, shop: str) -> None:
    made = make(api, shop)
    vouched = api.judge(made["secret"])
    assert vouched == {
        "isAuthorized": True,
        "context": {
            "version": "1",
            "outcome": "verified",
            "sub": f"key:{made['id']}",
            "merchant_id": shop,
            "permissions": "payments",
            "expires_at": "",
        },
    }
    assert api("GET", "/v1/payments", authorizer=vouched["context"]).status == 200
    assert api("GET", "/v1/transfers", authorizer=vouched["context"]).status == 403
    assert api("GET", "/v1/api-keys", authorizer=vouched["context"]).status == 403


def test_the_use_of_a_key_is_recorded_once(api: Functions, shop: str) -> None:
    made = make(api, shop)
    for _ in range(3):
        assert is_good(api, made["secret"])
    (row,) = api("GET", "/v1/api-keys", query=f"merchant_id={shop}").body["data"]
    assert row["last_used_at"] >= made["created_at"]
    assert row["version"] == 2
    assert stored(made["id"])["changed_by"] == {"S": f"key:{made['id']}"}


def test_no_card_number_in_a_user_agent_is_stored_with_a_keys_use(
    api: Functions, shop: str
) -> None:
    made = make(api, shop)
    api.judge(made["secret"], user_agent="shop 4242 4242 4242 4242")
    row = stored(made["id"])
    assert row["version"] == {"N": "2"}
    assert row["user_agent"] == {"S": "…"}


def test_a_use_that_the_table_refuses_to_record_still_admits_the_caller(
    api: Functions, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(api, shop)
    warned: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda _, **fields: warned.append(fields["detail"]))
    client = authorizer_services().machine_clients.store.client

    def denied(**_: Any) -> None:
        raise client.exceptions.ResourceNotFoundException({"Error": {}}, "TransactWriteItems")

    monkeypatch.setattr(client, "transact_write_items", denied)
    assert is_good(api, made["secret"])
    assert warned == ["The use was not recorded (ResourceNotFoundException)"]


def test_a_revoked_key_grants_nothing_and_stays_listed(
    api: Functions, shop: str, reasons: list[str]
) -> None:
    made = make(api, shop)
    assert is_good(api, made["secret"])
    path = f"/v1/api-keys/{made['id']}/revoke"
    first = api("POST", path)
    assert (first.status, first.body["id"], first.body["version"]) == (200, made["id"], 3)
    assert first.body["revoked_at"] is not None
    assert api("POST", path).body == first.body
    assert api.judge(made["secret"]) == REFUSED
    assert reasons == ["api_key_revoked"]
    (row,) = api("GET", "/v1/api-keys", query=f"merchant_id={shop}").body["data"]
    assert row == first.body


def test_a_revocation_is_idempotent_under_its_key(api: Functions, shop: str) -> None:
    path = f"/v1/api-keys/{make(api, shop)['id']}/revoke"
    headers = {"idempotency-key": "revoke-1"}
    first = api("POST", path, headers=headers)
    again = api("POST", path, headers=headers)
    assert (again.status, again.text) == (200, first.text)


def test_a_repeated_request_creates_one_key_and_returns_it_again(api: Functions, shop: str) -> None:
    body = {"merchant_id": shop, "name": "till", "permissions": ["payments"]}
    headers = {"idempotency-key": "till"}
    first = api("POST", "/v1/api-keys", body, headers=headers)
    again = api("POST", "/v1/api-keys", body, headers=headers)
    assert again.text == first.text
    other = api("POST", "/v1/api-keys", {**body, "name": "other"}, headers=headers)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    assert len(api("GET", "/v1/api-keys", query=f"merchant_id={shop}").body["data"]) == 1
    claims = boto3.client("dynamodb").scan(TableName="idempotency")["Items"]
    assert first.body["secret"] not in str(claims)


def test_keys_are_listed_in_pages_newest_first(api: Functions, shop: str) -> None:
    names = [make(api, shop, name=f"till {n}")["name"] for n in range(5)]
    make(api, make_other(api))
    seen: list[str] = []
    query = f"merchant_id={shop}&limit=2"
    cursor = ""
    while True:
        page = api("GET", "/v1/api-keys", query=query + cursor).body
        seen += [row["name"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == names
    assert api("GET", "/v1/api-keys", query=f"{query}&cursor=x").body["code"] == "bad_cursor"


def make_other(api: Functions) -> str:
    answer = api("POST", "/v1/merchants", {"name": "Other", "email": "other@example.com"})
    return str(answer.body["id"])


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"permissions": []}, 422, "permissions"),
        ({"permissions": ["admin"]}, 422, "permissions.0"),
        ({"permissions": ["everything"]}, 422, "permissions.0"),
        ({"name": ""}, 422, "name"),
        ({"merchant_id": None}, 422, "merchant_id"),
        ({"merchant_id": "mer_unknown"}, 404, "merchant_id"),
        ({"secret": "sk_mine"}, 400, "secret"),
    ],
)
def test_an_invalid_key_request_is_refused(
    api: Functions, shop: str, changes: dict[str, Any], status: int, param: str
) -> None:
    body = {"merchant_id": shop, "name": "till", "permissions": ["payments"], **changes}
    answer = api("POST", "/v1/api-keys", body)
    assert (answer.status, answer.body["param"]) == (status, param)


def test_only_operators_and_holders_of_merchant_create_list_and_revoke_keys(
    api: Functions, shop: str
) -> None:
    made = make(api, shop)
    for who in (token_of(shop, "payments reports"), token_of(shop, "admin payments")):
        body = {"name": "till", "permissions": ["payments"]}
        assert api("POST", "/v1/api-keys", body, authorizer=who).status == 403
        assert api("GET", "/v1/api-keys", authorizer=who).status == 403
        path = f"/v1/api-keys/{made['id']}/revoke"
        assert api("POST", path, authorizer=who).status == 403
    assert is_good(api, made["secret"])


def test_a_merchant_creates_lists_and_revokes_only_its_own_keys(api: Functions, shop: str) -> None:
    who, other = token_of(shop, "merchant payments"), token_of(make_other(api), "merchant")
    body = {"name": "till", "permissions": ["payments", "merchant"]}
    made = api("POST", "/v1/api-keys", body, authorizer=who)
    assert (made.status, made.body["merchant_id"]) == (201, shop)
    assert is_good(api, made.body["secret"])
    (row,) = api("GET", "/v1/api-keys", authorizer=who).body["data"]
    assert row["id"] == made.body["id"]
    assert api("GET", "/v1/api-keys", authorizer=other).body["data"] == []
    path = f"/v1/api-keys/{row['id']}/revoke"
    assert api("POST", path, authorizer=other).status == 404
    assert is_good(api, made.body["secret"])
    assert api("POST", path, authorizer=who).status == 200
    assert not is_good(api, made.body["secret"])


@pytest.mark.parametrize(
    ("held", "asked", "status"),
    [
        ("merchant", ["merchant"], 201),
        ("merchant payments refunds", ["payments", "refunds"], 201),
        ("merchant payments", ["payments", "refunds"], 403),
        ("merchant", ["reports"], 403),
        ("merchant admin", ["reports"], 403),
        ("merchant admin", ["admin"], 422),
        ("merchant payments admin", ["payments", "admin"], 422),
        ("payments", ["payments"], 403),
    ],
)
def test_a_key_cannot_exceed_its_creators_permissions(
    held: str, asked: list[str], status: int, api: Functions, shop: str
) -> None:
    body = {"name": "till", "permissions": asked}
    answer = api("POST", "/v1/api-keys", body, authorizer=token_of(shop, held))
    assert answer.status == status, answer.text
    if status == 403 and "merchant" in held:
        assert answer.body["param"] == "permissions"
        assert answer.body["code"] == "forbidden"
    listed = api("GET", "/v1/api-keys", query=f"merchant_id={shop}").body["data"]
    assert len(listed) == (status == 201)


def test_keys_made_by_a_key_have_no_more_than_it_and_name_it(api: Functions, shop: str) -> None:
    owner = token_of(shop, "merchant payments refunds", sub="ada")
    first = make(api, shop, permissions=["merchant", "payments"])
    by_key = api.judge(first["secret"])["context"]
    body = {"name": "till 2", "permissions": ["merchant", "payments"]}
    second = api("POST", "/v1/api-keys", body, authorizer=by_key)
    assert (second.status, second.body["created_by"]) == (201, f"key:{first['id']}")
    by_second = api.judge(second.body["secret"])["context"]
    wider = {"name": "till 3", "permissions": ["merchant", "payments", "refunds"]}
    for who in (by_key, by_second):
        refused = api("POST", "/v1/api-keys", wider, authorizer=who)
        assert (refused.status, refused.body["param"]) == (403, "permissions")
        named = {**body, "merchant_id": make_other(api)}
        assert api("POST", "/v1/api-keys", named, authorizer=who).status == 403
        admin = {"name": "till 4", "permissions": ["admin"]}
        assert api("POST", "/v1/api-keys", admin, authorizer=who).status == 422
    third = api("POST", "/v1/api-keys", wider, authorizer=owner)
    assert (third.status, third.body["created_by"]) == (201, "ada")
    rows = api("GET", "/v1/api-keys", authorizer=by_second).body["data"]
    assert [row["created_by"] for row in rows] == ["ada", f"key:{first['id']}", "operator"]


def test_a_revoked_maker_makes_no_keys_and_its_keys_are_found(api: Functions, shop: str) -> None:
    maker = make(api, shop, permissions=["merchant"])
    by_key = api.judge(maker["secret"])["context"]
    made = api(
        "POST", "/v1/api-keys", {"name": "b", "permissions": ["merchant"]}, authorizer=by_key
    )
    assert api("POST", f"/v1/api-keys/{maker['id']}/revoke").status == 200
    assert api.judge(maker["secret"]) == REFUSED
    assert is_good(api, made.body["secret"]), "a key is revoked by itself, not with its maker"
    rows = api("GET", "/v1/api-keys", query=f"merchant_id={shop}").body["data"]
    (left,) = (row for row in rows if row["created_by"] == f"key:{maker['id']}")
    assert api("POST", f"/v1/api-keys/{left['id']}/revoke").status == 200
    assert not is_good(api, made.body["secret"])


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"colour": "red"}, {"name": "4242424242424242"}, {"name": ...}]
)
def test_missing_permissions_take_precedence_over_other_errors(
    wrong: dict[str, Any], api: Functions, shop: str
) -> None:
    body = {"name": "till", "permissions": ["reports", 7, "everything"], **wrong}
    body = {name: value for name, value in body.items() if value is not ...}
    answer = api("POST", "/v1/api-keys", body, authorizer=token_of(shop, "merchant"))
    assert (answer.status, answer.body["param"]) == (403, "permissions")


@pytest.mark.parametrize("permissions", [None, "reports", {"reports": True}, [["reports"]], [7]])
def test_malformed_permissions_are_an_invalid_value(
    permissions: Any, api: Functions, shop: str
) -> None:
    body = {"name": "till", "permissions": permissions}
    answer = api("POST", "/v1/api-keys", body, authorizer=token_of(shop, "merchant"))
    assert (answer.status, answer.body["code"]) == (422, "invalid_value")


def test_a_key_cannot_create_a_key_with_more_permissions(api: Functions, shop: str) -> None:
    parent = make(api, shop, permissions=["merchant", "reports"])
    who = api.judge(parent["secret"])["context"]
    child = api("POST", "/v1/api-keys", {"name": "b", "permissions": ["reports"]}, authorizer=who)
    assert child.status == 201
    more = {"name": "c", "permissions": ["reports", "payments"]}
    assert api("POST", "/v1/api-keys", more, authorizer=who).status == 403


def test_a_repetition_returns_no_key_to_a_caller_with_fewer_permissions(
    api: Functions, shop: str
) -> None:
    headers = {"idempotency-key": "till"}
    body = {"name": "till", "permissions": ["payments"]}
    made = api(
        "POST",
        "/v1/api-keys",
        body,
        headers=headers,
        authorizer=token_of(shop, "merchant payments"),
    )
    lesser = token_of(shop, "merchant")
    again = api("POST", "/v1/api-keys", body, headers=headers, authorizer=lesser)
    assert (made.status, again.status) == (201, 403)
    assert made.body["secret"] not in again.text


def test_a_list_needs_its_merchant_and_an_unknown_key_is_not_found(
    api: Functions,
) -> None:
    assert api("GET", "/v1/api-keys").status == 422
    assert api("GET", "/v1/api-keys", query="merchant_id=mer_unknown").status == 404
    assert api("POST", "/v1/api-keys/abcdefghijkl/revoke").status == 404


def test_an_unknown_caller_is_refused_and_only_the_log_has_the_reason(
    api: Functions, shop: str, reasons: list[str]
) -> None:
    secret = make(api, shop)["secret"]
    wrong = secret[:-10] + "A" * 10
    unknown = "sk_" + "0" * 12 + secret[15:]
    for credential in (wrong, unknown, "sk_short"):
        assert api.judge(credential) == REFUSED
    assert reasons == ["api_key_wrong", "api_key_unknown", "malformed"]


def test_a_refused_key_is_answered_like_a_refused_token(api: Functions, shop: str) -> None:
    refused = api.judge(make(api, shop)["secret"][:-10] + "A" * 10)
    answer = api("GET", "/v1/payments", authorizer=refused["context"])
    assert (answer.status, answer.body["code"]) == (401, "unauthorized")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_without_key_material_every_key_is_refused(
    api: Functions, shop: str, reasons: list[str]
) -> None:
    made = make(api, shop)
    dynamodb = boto3.client("dynamodb")
    key = {"prefix": {"S": made["id"]}}
    dynamodb.update_item(
        TableName="api_keys",
        Key=key,
        UpdateExpression="SET hash_key_id = :gone",
        ExpressionAttributeValues={":gone": {"S": "k000000009"}},
    )
    assert api.judge(made["secret"])["context"] == UNDECIDED
    assert reasons == ["keys_unreadable"]


def test_an_internal_error_refuses_and_its_trace_does_not_show_the_secret(
    api: Functions, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make(api, shop)["secret"]
    traces: list[str] = []
    monkeypatch.setattr(
        logger, "exception", lambda *_, **fields: traces.append(f"{fields}{format_exc()}")
    )
    client = authorizer_services().machine_clients.store.client

    def broken(**request: Any) -> None:
        raise ValueError(f"cannot read {request}")

    monkeypatch.setattr(client, "get_item", broken)
    assert api.judge(secret)["context"] == UNDECIDED
    (trace,) = traces
    assert "cannot read" in trace
    assert secret[-43:] not in trace
