"""Access control: authentication, permissions, isolation of merchants, and the error responses."""

from __future__ import annotations

import time
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from local.api_client import ApiClient
from local.auth import (
    MERCHANT_PERMISSIONS,
    AuthSettings,
    Grant,
    claims,
    key_id,
    signing_key,
    token,
)
from runtime.api.endpoints import ENDPOINTS
from runtime.http.endpoint import Endpoint
from tests.e2e.conftest import Deployment, Shop

PROTECTED = [endpoint for endpoint in ENDPOINTS if not endpoint.public]


def _path(endpoint: Endpoint) -> str:
    return endpoint.path.replace("{id}", "pay_00000000000000000000000000")


@pytest.mark.parametrize("endpoint", PROTECTED, ids=lambda e: e.operation)
def test_no_route_answers_without_a_token(endpoint: Endpoint, deployment: Deployment) -> None:
    stranger = ApiClient(deployment.stack.api_url, None)
    assert stranger.send(endpoint.method, _path(endpoint)).status == 401


@pytest.mark.parametrize(
    "endpoint", [e for e in PROTECTED if e.permission is not None], ids=lambda e: e.operation
)
def test_no_route_answers_without_its_permission(
    endpoint: Endpoint, deployment: Deployment, shop: Shop
) -> None:
    # All others: on a deployed stage this is an API key, which has at least one.
    others = (each for each in MERCHANT_PERMISSIONS if each != endpoint.permission)
    client = deployment.client(shop.merchant_id, *others)
    reply = client.send(endpoint.method, _path(endpoint), json={} if endpoint.body else None)
    assert reply.require(403)["code"] == "forbidden"


@pytest.mark.emulator("it signs tokens as the issuer, with the local stage's key")
def test_invalid_tokens_are_refused(deployment: Deployment, shop: Shop) -> None:
    workspace = deployment.workspace
    settings = AuthSettings.of_local_stage(workspace.root)
    key = signing_key(workspace)
    grant = Grant(("payments",), merchant_id=shop.merchant_id)
    now = int(time.time())
    good = claims(grant, settings, now)
    header = {"kid": key_id(key)}
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def signed(said: dict[str, object], by: rsa.RSAPrivateKey = key) -> str:
        return jwt.encode(said, by, algorithm="RS256", headers=header)

    valid = signed(good)
    refused = {
        "expired": token(replace(grant, ttl_seconds=-60), workspace),
        "other issuer": signed({**good, "iss": "https://elsewhere.invalid"}),
        "other audience": signed({**good, "aud": "another-api"}),
        "no expiry": signed({k: v for k, v in good.items() if k != "exp"}),
        "not yet valid": signed({**good, "nbf": now + 600}),
        "signed by a stranger": signed(good, stranger),
        "unknown kid": jwt.encode(good, key, algorithm="RS256", headers={"kid": "other"}),
        "no algorithm": jwt.encode(good, None, algorithm="none", headers=header),
        "tampered": valid[:-6] + ("AAAAAA" if not valid.endswith("AAAAAA") else "BBBBBB"),
        "another type": jwt.encode(
            good, key, algorithm="RS256", headers={**header, "typ": "x+jwt"}
        ),
        "no merchant": signed({**good, "merchant_id": None}),
        "a name that is too long": signed({**good, "sub": "x" * 2_100}),
        "an API key's name": signed({**good, "sub": "key:0aZ9bY8cX7dW"}),
        "garbage": "not.a.token",
    }
    assert ApiClient(deployment.stack.api_url, valid).get("/v1/payments").status == 200
    for name, bearer in refused.items():
        reply = ApiClient(deployment.stack.api_url, bearer).get("/v1/payments")
        assert reply.require(401)["code"] == "unauthorized", name
        assert reply.headers["content-type"] == "application/problem+json", name
        assert reply.headers["www-authenticate"].startswith("Bearer"), name


def test_what_the_issuer_did_not_sign_is_refused(deployment: Deployment, shop: Shop) -> None:
    grant = Grant(MERCHANT_PERMISSIONS, merchant_id=shop.merchant_id)
    settings = AuthSettings.of_local_stage(deployment.workspace.root)
    said = claims(grant, settings, int(time.time()))
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    refused = {
        "another key": jwt.encode(said, stranger, "RS256", headers={"kid": key_id(stranger)}),
        "no algorithm": jwt.encode(said, None, algorithm="none"),
        "a shared secret": jwt.encode(said, "0" * 32, "HS256"),
        "garbage": "not.a.token",
    }
    for name, bearer in refused.items():
        client = ApiClient(deployment.stack.api_url, bearer)
        for path in ("/v1/payments", "/v1/nothing"):
            reply = client.get(path)
            assert reply.require(401)["code"] == "unauthorized", name
            assert reply.headers["content-type"] == "application/problem+json", name
            assert reply.headers["www-authenticate"].startswith("Bearer"), name


@pytest.mark.emulator("it signs tokens as the issuer, with the local stage's key")
def test_an_invalid_token_is_reported_before_an_unknown_route(deployment: Deployment) -> None:
    expired = token(Grant(("payments",), ttl_seconds=-60), deployment.workspace)
    client = ApiClient(deployment.stack.api_url, expired)
    for method, path in (("GET", "/v1/nothing"), ("DELETE", "/v1/payments"), ("POST", "/v1/x/y")):
        assert client.send(method, path).require(401)["instance"] == path
    assert client.get("/v1/health").status == 200


def test_another_merchants_resources_are_not_found(deployment: Deployment, shop: Shop) -> None:
    sale = {"amount": 1, "currency": "USD", "payment_method": "tok_approved"}
    payment = shop.client.post("/v1/payments", sale, key="mine").require(201)
    person = {"name": "A", "email": "a@x.example"}
    customer = shop.client.post("/v1/customers", person).require(201)
    wallet = {"account_type": "wallet", "currency": "USD"}
    account = shop.client.post("/v1/accounts", wallet).require(201)
    other = deployment.shop().client
    for path in (
        f"/v1/payments/{payment['id']}",
        f"/v1/customers/{customer['id']}",
        f"/v1/accounts/{account['id']}",
        f"/v1/merchants/{shop.merchant_id}",
    ):
        assert other.get(path).require(404)["code"] == "not_found"
        assert deployment.operator.get(path).status == 200
    assert other.get("/v1/payments", customer_id=customer["id"]).status == 404
    charged = {**sale, "customer_id": customer["id"]}
    assert other.post("/v1/payments", charged, key="theirs").status == 404
    assert other.post("/v1/accounts", {**wallet, "customer_id": customer["id"]}).status == 404


def test_only_operators_act_for_a_merchant(deployment: Deployment, shop: Shop) -> None:
    sale = {"amount": 1, "currency": "USD", "payment_method": "tok_approved"}
    named = {**sale, "merchant_id": shop.merchant_id}
    assert shop.client.post("/v1/payments", named, key="a").require(403)["code"] == "forbidden"
    assert shop.client.get("/v1/payments", merchant_id=shop.merchant_id).status == 403
    paid = deployment.operator.post("/v1/payments", named, key="a").require(201)
    assert paid["merchant_id"] == shop.merchant_id
    nameless = deployment.operator.post("/v1/payments", sale, key="b").require(422)
    assert nameless["param"] == "merchant_id"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("DELETE", "/v1/payments", 405), ("PUT", "/v1/payments/x", 405)],
)
def test_unknown_routes_and_methods_are_problem_documents(
    method: str, path: str, status: int, shop: Shop
) -> None:
    reply = shop.client.send(method, path)
    problem = reply.require(status)
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["instance"] == path
    assert problem["status"] == status


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "malformed_json"),
        ({"content": b"x=1", "headers": {"content-type": "text/plain"}}, 415, None),
        ({"json": {"amount": 1, "surprise": 1}}, 400, "unknown_field"),
        ({"json": {"amount": 1}}, 422, "invalid_value"),
        ({"json": {"metadata": {"note": "4111 1111 1111 1111"}}}, 422, "card_data_refused"),
        ({"json": {"description": "x" * 70_000}}, 413, "payload_too_large"),
    ],
)
def test_bad_requests_get_a_clear_problem(
    options: dict[str, object], status: int, code: str | None, shop: Shop
) -> None:
    headers = {"Idempotency-Key": "bad", **(options.pop("headers", None) or {})}  # type: ignore[dict-item]
    reply = shop.client.send("POST", "/v1/payments", headers=headers, **options)
    problem = reply.require(status)
    assert code in (None, problem["code"])


def test_a_payment_without_an_idempotency_key_is_refused(shop: Shop) -> None:
    sale = {"amount": 1, "currency": "USD", "payment_method": "tok_approved"}
    assert shop.client.post("/v1/payments", sale).require(400)["code"] == "missing_idempotency_key"
