"""One of everything that a merchant can have, so that others can try to access it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from local.api_client import ApiClient
from tests.support.stages.patience import PATIENCE_SECONDS

_USD = {"currency": "USD"}
LONGEST_NUMBER = 34
"""Characters of an account's number."""


WEBHOOK_URL = "https://hooks.example.com/of-its-own"


@dataclass
class Tenant:
    """A merchant's ids by kind, its list cursors by path, and its secret markers."""

    merchant_id: str
    client: ApiClient
    ids: dict[str, str] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    """By filter: a value that matches something of the merchant's."""
    marker: str = field(default_factory=lambda: f"marked{uuid4().hex}")

    def at(self, path: str) -> str:
        """A path of the contract with this tenant's ids in it."""
        return fill(path, self.ids)


def fill(path: str, ids: dict[str, str], instead: str | None = None) -> str:
    """`path` with ids of the right kind, or with `instead` for its {id}."""
    kind = path.split("/")[2].rstrip("s").replace("-", "_")
    own = instead or ids.get(kind, "nothing")
    audited = instead or ids.get("payment", "nothing")
    return (
        path.replace("{id}", own)
        .replace("{pm_id}", ids["payment_method"])
        .replace("{entity_id}", audited)
        .replace("{account}", "sandbox")
        .replace("{settlement_id}", ids.get("settlement", "nothing"))
        .replace("{line}", "2")
    )


def settle_in(merchant_id: str, client: ApiClient, operator: ApiClient) -> Tenant:
    """Create one of everything for a merchant, with a marker in every free text."""
    tenant = Tenant(merchant_id, client)
    mark, ids = tenant.marker, tenant.ids
    ids["merchant"] = merchant_id

    def made(
        path: str, body: dict[str, Any], by: ApiClient = client, key: str | None = None
    ) -> str:
        identifier: str = by.post(path, body, key=key or uuid4().hex).require(200, 201, 202)["id"]
        return identifier

    tenant.words = _words_with(mark)
    person = {
        "name": mark,
        "email": tenant.words["email"],
        "phone": "+49 30 5550 123",
        "metadata": {"note": mark},
    }
    ids["customer"] = made("/v1/customers", person)
    card = {"type": "card", "token": f"tok_{mark}", "last4": "4242", "brand": mark}
    ids["payment_method"] = made(f"/v1/customers/{ids['customer']}/payment-methods", card)
    machine = {"merchant_id": merchant_id, "name": mark, "permissions": ["reports"]}
    ids["api_key"] = made("/v1/api-keys", machine, operator)
    wallet = {"account_type": "wallet", "customer_id": ids["customer"], **_USD}
    endpoint = {"url": WEBHOOK_URL, "events": ["export.completed"], "description": mark}
    ids["webhook_endpoint"] = made("/v1/webhook-endpoints", endpoint)
    numbered = {**wallet, "account_number": tenant.words["account_number"]}
    ids["account"] = made("/v1/accounts", numbered)
    funded = {"account_type": "wallet", "opening_balance": 1000, "merchant_id": merchant_id, **_USD}
    ids["funded_account"] = made("/v1/accounts", funded, operator)
    moved = {
        "from_account_id": ids["funded_account"],
        "to_account_id": ids["account"],
        "amount": 10,
        "customer_id": ids["customer"],
        "description": mark,
        "metadata": {"note": mark},
        **_USD,
    }
    made("/v1/transfers", moved)
    ids["transfer"] = made("/v1/transfers", {**moved, "hold": True})
    for _ in range(2):
        sale = {
            "amount": 700,
            "payment_method": "tok_approved",
            "customer_id": ids["customer"],
            "description": mark,
            "metadata": {"note": mark},
            **_USD,
        }
        ids["payment"] = made("/v1/payments", sale)
    authorized = {**sale, "capture_method": "manual", "reference": tenant.words["reference"]}
    key = tenant.words["idempotency_key"]
    ids["authorization"] = made("/v1/payments", authorized, key=key)
    refund = {"amount": 10, "reason": mark}
    refunded = client.post(f"/v1/payments/{ids['payment']}/refund", refund, key=uuid4().hex)
    transaction = refunded.require(200)["transactions"][-1]
    ids["transaction"] = transaction["id"]
    tenant.words["processor_id"] = transaction["processor_id"]
    tenant.words["request_id"] = refunded.headers["x-request-id"]
    ids["settlement_file"] = made("/v1/settlement-files", {"name": f"{mark}.csv"})
    ids["export"] = made("/v1/exports", {"kind": "payments", "format": "jsonl"})
    if operator.get(f"/v1/merchants/{merchant_id}").require(200)["webhook_url"] is not None:
        ids["webhook"] = _told_of(ids["payment"], client)
    _take_cursors(tenant)
    return tenant


def _words_with(mark: str) -> dict[str, str]:
    """The merchant's own names for what is found by them."""
    return {
        "account_number": mark[:LONGEST_NUMBER],
        "email": f"{mark}@people.example",
        "idempotency_key": mark,
        "reference": f"order-{mark}",
    }


def _take_cursors(tenant: Tenant) -> None:
    """Keep a cursor of each list that has more than one page."""
    for path, query in (
        ("/v1/payments", {}),
        ("/v1/transfers", {}),
        ("/v1/accounts", {"status": "active", "account_type": "wallet"}),
    ):
        page = tenant.client.get(path, limit=1, **query).require(200)
        tenant.cursors[path] = page["next_cursor"]


def _told_of(payment_id: str, client: ApiClient) -> str:
    """Id of a webhook about the payment, as soon as the streams have created it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for each in client.get("/v1/webhooks").require(200)["data"]:
            if each["payment_id"] == payment_id:
                return str(each["id"])
        time.sleep(0.2)
    raise AssertionError(f"no webhook about {payment_id} within {PATIENCE_SECONDS} s")
