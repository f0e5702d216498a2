"""Merchants are isolated: every route of the served document, tried with another merchant's ids.

The walk is driven by the document. A new route with an id, a filter or a body that the walk
cannot fill fails here by name, so that it cannot be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from local.api_client import ApiClient, Reply
from tests.e2e.conftest import Deployment
from tests.e2e.test_settlement_files import uploaded
from tests.support.tenant import WEBHOOK_URL, Tenant, fill, settle_in

SEALED = (400, 403, 404)
OPERATORS = "the route is for operators alone"
HARMLESS_QUERY = {
    "interval",
    "include",
    "order",
    "action",
    "at",
    "currency",
    "shard",
    "user_id",
    "event_type",
    "limit",
    "status",
    "account_type",
    "type",
    "start_date",
    "end_date",
    "min_amount",
    "max_amount",
    "min_age_days",
}
ID_QUERY = {"customer_id", "account_id", "merchant_id", "settlement_id"}
ANSWERS_EACH = {"resolveExceptions"}
"""Routes that answer 200 and report the result of each part of the request."""
WORD_QUERY = {
    "account_number",
    "email",
    "idempotency_key",
    "processor_id",
    "reference",
    "request_id",
}
"""Filters by a merchant's or processor's own names: another merchant's match nothing."""
ALONE = {"entity_id": "payment", "payment_id": "payment"}
"""Queries that allow no other filter, and whose id they could name."""
NEEDED_QUERY: dict[str, dict[str, str]] = {
    "findCustomers": {"email": "unknown@people.example"},
    "getBalance": {"at": "2026-01-01T00:00:00Z"},
    "listAccounts": {"status": "active", "account_type": "wallet"},
    "listAudit": {"action": "payment_succeeded"},
    "listTransactions": {"status": "succeeded"},
}
SETTLEMENT_FILE = b"""\
payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date
pay_unknown,txn_unknown,settled,5,0,5,USD,2026-01-01,2026-01-02
"""
"""Its line matches no transaction, so it is an exception, and changes nothing else."""
SETTLEMENT_LINE = 2
CROSS_KIND = (
    "merchant",
    "customer",
    "payment_method",
    "account",
    "transfer",
    "payment",
    "authorization",
    "transaction",
)


@pytest.fixture(scope="module")
def tenant(deployment: Deployment) -> Tenant:
    shop = deployment.shop(features=["x"], webhook_url="https://hooks.example.com/x")
    settled = settle_in(shop.merchant_id, shop.client, deployment.operator)
    file = uploaded(shop.client, "2026-01-02.csv", SETTLEMENT_FILE)
    (settled.ids["settlement"],) = file["settlement_ids"]
    path = f"/v1/settlements/{settled.ids['settlement']}/lines"
    (line,) = shop.client.get(path, status="unexpected").require(200)["data"]
    assert line["line"] == SETTLEMENT_LINE
    return settled


@pytest.fixture(scope="module")
def stranger(deployment: Deployment) -> Tenant:
    shop = deployment.shop()
    return settle_in(shop.merchant_id, shop.client, deployment.operator)


@pytest.fixture(scope="module")
def operations(deployment: Deployment) -> list[tuple[str, str, dict[str, Any]]]:
    document = ApiClient(deployment.stack.api_url, None).get("/v1/openapi.json").require(200)
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["security"]
    ]


def bodies(operation: str, own: Tenant, theirs: Tenant) -> Iterator[dict[str, Any]]:
    """Valid bodies of the stranger's, each with one id of the tenant's in it."""
    usd = {"currency": "USD"}
    sale = {"amount": 1, "payment_method": "tok_approved", **usd}
    mine, other = own.ids, theirs.ids
    wallet = {"account_type": "wallet", **usd}
    recipes: dict[str, list[dict[str, Any]]] = {
        "createMerchant": [{"name": "A", "email": "a@b.example"}],
        "changeMerchant": [{"version": 1, "name": "Mine"}],
        "rotateWebhookSecret": [{}],
        "createCustomer": [{"name": "A", "email": "a@b.example", "merchant_id": other["merchant"]}],
        "changeCustomer": [{"name": "Mine"}, {"default_method": other["payment_method"]}],
        "unlockCustomer": [{}],
        "addPaymentMethod": [{"type": "card", "token": "tok_approved", "last4": "1111"}],
        "createAccount": [
            {**wallet, "customer_id": other["customer"]},
            {**wallet, "merchant_id": other["merchant"]},
        ],
        "deactivateAccount": [{}],
        "activateAccount": [{}],
        "unlockAccount": [{}],
        "closeAccount": [{}],
        "createTransfer": _transfer_bodies(own, theirs),
        "postTransfer": [{}, {"amount": 1}],
        "cancelTransfer": [{}],
        "createPayment": [
            {**sale, "customer_id": other["customer"]},
            {**sale, "merchant_id": other["merchant"]},
            {**sale, "customer_id": mine["customer"], "payment_method": other["payment_method"]},
            {**sale, "customer_id": other["customer"], "payment_method": other["payment_method"]},
        ],
        "capturePayment": [{}, {"amount": 1, "final": False}],
        "cancelPayment": [{}],
        "refundPayment": [{}, {"amount": 1}],
        "createApiKey": [
            {"merchant_id": other["merchant"], "name": "k", "permissions": ["reports"]}
        ],
        "revokeApiKey": [{}],
        "applyProcessorEvent": [{}],
        "redeliverWebhook": [{}],
        "createWebhookEndpoint": [{"url": WEBHOOK_URL, "merchant_id": other["merchant"]}],
        "changeWebhookEndpoint": [{"description": "x"}, {"status": "disabled"}],
        "testWebhookEndpoint": [{}],
        "recoverWebhookEndpoint": [{"since": "2026-01-01"}],
        "rotateWebhookEndpointSecret": [{}],
        **_settlement_bodies(theirs),
    }
    assert operation in recipes, f"say how {operation} could name another merchant's things"
    yield from recipes[operation]


def _transfer_bodies(own: Tenant, theirs: Tenant) -> list[dict[str, Any]]:
    mine, other, usd = own.ids, theirs.ids, {"currency": "USD"}
    moved = {
        "from_account_id": mine["funded_account"],
        "to_account_id": mine["account"],
        "amount": 1,
        **usd,
    }
    return [
        {**moved, "from_account_id": other["funded_account"]},
        {**moved, "to_account_id": other["account"]},
        {**moved, "customer_id": other["customer"]},
        {**moved, "merchant_id": other["merchant"]},
        {
            "legs": [
                {
                    "from_account_id": other["funded_account"],
                    "to_account_id": mine["account"],
                    "amount": 1,
                }
            ],
            **usd,
        },
        {**moved, "from_account_id": other["funded_account"], "dry_run": True},
    ]


def _settlement_bodies(theirs: Tenant) -> dict[str, list[dict[str, Any]]]:
    """Bodies about exports, settlement files and exceptions."""
    other = theirs.ids
    decision = {"action": "ignore", "note": "n"}
    line = {"settlement_id": other["settlement"], "line": SETTLEMENT_LINE}
    return {
        "createExport": [
            {"kind": "payments", "merchant_id": other["merchant"]},
            {"kind": "payments", "customer_id": other["customer"]},
            {"kind": "transactions", "payment_id": other["payment"]},
            {"kind": "transfers", "customer_id": other["customer"]},
            {"kind": "transfers", "account_id": other["account"]},
            {"kind": "entries", "account_id": other["funded_account"]},
        ],
        "createSettlementFile": [{"name": "a.csv", "merchant_id": other["merchant"]}],
        "resolveException": [
            decision,
            {**decision, "action": "accept"},
            {**decision, "action": "link", "transaction_id": other["transaction"]},
        ],
        "resolveExceptions": [{"lines": [{**line, **decision}]}],
    }


def must_be_sealed(reply: Reply, theirs: Tenant, what: str, sent: str) -> None:
    assert reply.status in SEALED, f"{what}: {reply.status} {reply.text[:300]}"
    must_tell_nothing(reply, theirs, what, sent)


def must_tell_nothing(reply: Reply, theirs: Tenant, what: str, sent: str) -> None:
    assert theirs.marker not in reply.text, f"{what} reveals what the other merchant wrote"
    for kind, identifier in theirs.ids.items():
        reported = identifier in reply.text and identifier not in sent
        assert not reported, f"{what} reveals the other merchant's {kind}"


def test_no_route_reaches_another_merchants_resources(
    operations: list[tuple[str, str, dict[str, Any]]], tenant: Tenant, stranger: Tenant
) -> None:
    tried = 0
    for method, path, operation in operations:
        name = operation["operationId"]
        wanted = "requestBody" in operation
        for body in bodies(name, stranger, tenant) if wanted else [None]:
            paths = [path]
            if "{" in path:
                paths = [
                    tenant.at(path),
                    *(fill(path, tenant.ids, tenant.ids[k]) for k in CROSS_KIND),
                ]
            for target in dict.fromkeys(paths):
                names_tenant = body is not None and any(
                    each in json.dumps(body) for each in tenant.ids.values()
                )
                if "{" not in path and not names_tenant and name != "createMerchant":
                    continue
                options: dict[str, Any] = {"params": NEEDED_QUERY.get(name, {})}
                if body is not None:
                    options["json"] = body
                headers = {"Idempotency-Key": uuid4().hex}
                reply = stranger.client.send(method, target, headers=headers, **options)
                sent = target + json.dumps(body)
                if name in ANSWERS_EACH:
                    parts = [part["status_code"] for part in reply.require(200)["data"]]
                    assert set(parts) <= set(SEALED), f"{name}: {reply.text[:300]}"
                    must_tell_nothing(reply, tenant, f"{name} {target}", sent)
                else:
                    must_be_sealed(reply, tenant, f"{name} {target}", sent)
                tried += 1
    assert tried > 100, "the walk went somewhere"


def test_no_filter_and_no_cursor_reads_another_merchants_lists(
    operations: list[tuple[str, str, dict[str, Any]]], tenant: Tenant, stranger: Tenant
) -> None:
    for method, path, operation in operations:
        name = operation["operationId"]
        if method != "GET":
            continue
        members = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
        unknown = members - HARMLESS_QUERY - ID_QUERY - WORD_QUERY - set(ALONE) - {"cursor"}
        assert not unknown, f"say how {name} could name another merchant's things by {unknown}"
        own = fill(path, stranger.ids)
        needed = NEEDED_QUERY.get(name, {})
        for member in members & ID_QUERY:
            other = tenant.ids[member.removesuffix("_id")]
            reply = stranger.client.get(own, **{**needed, member: other})
            must_be_sealed(reply, tenant, f"{name}?{member}", other)
        for member in members & set(ALONE):
            other = tenant.ids[ALONE[member]]
            reply = stranger.client.get(own, **{member: other})
            must_be_sealed(reply, tenant, f"{name}?{member}", other)
            assert reply.status == 404, reply.text
        if "cursor" in members:
            for cursor in (*tenant.cursors.values(), "x" * 40, stranger.cursors["/v1/payments"]):
                if name == "listPayments" and cursor == stranger.cursors["/v1/payments"]:
                    continue
                reply = stranger.client.get(own, **{**needed, "cursor": cursor})
                assert reply.status in SEALED, f"{name} takes a cursor that is not its own"
        for member in members & WORD_QUERY:
            reply = stranger.client.get(own, **{member: tenant.words[member]})
            must_tell_nothing(reply, tenant, f"{name}?{member}", tenant.words[member])
            operators = reply.status == 403 and name == "listMerchants"
            assert operators or reply.require(200)["data"] == [], f"{name}?{member}"
        if "{" not in path:
            reply = stranger.client.get(own, **needed)
            must_tell_nothing(reply, tenant, name, "")


def test_a_merchant_finds_its_own_resources_by_its_own_names(tenant: Tenant) -> None:
    found = {
        member: tenant.client.get(path, **{member: tenant.words[member]}).require(200)["data"]
        for member, path in (
            ("account_number", "/v1/accounts"),
            ("email", "/v1/customers"),
            ("idempotency_key", "/v1/payments"),
            ("processor_id", "/v1/transactions"),
            ("reference", "/v1/payments"),
        )
    }
    assert {member: [row["id"] for row in rows] for member, rows in found.items()} == {
        "account_number": [tenant.ids["account"]],
        "email": [tenant.ids["customer"]],
        "idempotency_key": [tenant.ids["authorization"]],
        "processor_id": [tenant.ids["transaction"]],
        "reference": [tenant.ids["authorization"]],
    }


def test_a_cursor_is_valid_only_with_its_own_filters(stranger: Tenant) -> None:
    cursor = stranger.cursors["/v1/payments"]
    assert stranger.client.get("/v1/payments", cursor=cursor, limit=1).status == 200
    other = stranger.client.get("/v1/payments", cursor=cursor, status="failed")
    assert other.require(400)["code"] == "bad_cursor"


def test_afterwards_nothing_of_the_merchant_has_changed(
    deployment: Deployment, tenant: Tenant
) -> None:
    """Runs last: the tests above have tried to change everything."""
    written = {
        "merchant": 2,
        "webhook_endpoint": 1,
        "customer": 2,
        "account": 3,
        "transfer": 1,
        "payment": 4,
        "authorization": 2,
    }
    for kind, version in written.items():
        path = f"/v1/{kind.replace('_', '-')}s" if kind != "authorization" else "/v1/payments"
        row = tenant.client.get(f"{path}/{tenant.ids[kind]}").require(200)
        assert row["version"] == version, kind
    assert tenant.client.get(f"/v1/customers/{tenant.ids['customer']}").body["payment_methods"]
