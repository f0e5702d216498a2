"""Scheduled functions that have nothing to do until days or a year have passed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from runtime.core.outside import Outside
from runtime.encryption.key_ring import ROTATE_AFTER
from runtime.functions.compact_totals import compact_totals_services
from runtime.functions.rotate_keys import rotation_services
from tests.support.http import Context, token_of
from tests.support.stages.running_stage import Stage


def later(outside: Outside, passed: timedelta) -> Outside:
    """The same world after some time."""
    return replace(outside, now=lambda: outside.now() + passed)


def summary(stage: Stage, shop: Mapping[str, Any]) -> Any:
    answer = stage.api("GET", "/v1/payments/summary", authorizer=token_of(shop["id"]))
    assert answer.status == 200, answer.text
    return answer.body["by_currency"]


def test_rows_of_a_closed_day_become_one_row_that_says_the_same(stage: Stage) -> None:
    shop = stage.shop()
    for _ in range(3):
        body = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
        headers = {"idempotency-key": uuid.uuid4().hex}
        who = token_of(shop["id"])
        paid = stage.api("POST", "/v1/payments", body, headers=headers, authorizer=who)
        assert paid.status == 201, paid.text
    stage.project_payments()
    before = summary(stage, shop)
    services = compact_totals_services()
    services.deps = replace(services.deps, outside=later(services.outside, timedelta(days=3)))
    report = stage.api.fold_totals()
    assert (report["finished"], report["failed"], report["merchants"]) == (True, 0, 1)
    assert report["rows"] >= 1
    assert summary(stage, shop) == before


def test_after_a_year_rows_are_encrypted_under_new_keys_and_still_found(stage: Stage) -> None:
    shop = stage.shop()
    who = token_of(shop["id"])
    email = f"{uuid.uuid4().hex}@example.com"
    body = {"name": "Ada", "email": email, "phone": "+44 20 7946 0000"}
    made = stage.api("POST", "/v1/customers", body, authorizer=who)
    assert made.status == 201, made.text
    path = f"/v1/customers/{made.body['id']}"
    card = {"type": "card", "token": "tok_approved", "last4": "4242", "brand": "visa"}
    added = stage.api("POST", f"{path}/payment-methods", card, authorizer=who)
    assert added.status == 201, added.text
    endpoint = {"url": "https://hooks.example/books"}
    hooked = stage.api("POST", "/v1/webhook-endpoints", endpoint, authorizer=who)
    assert hooked.status == 201, hooked.text
    services = rotation_services()
    outside = later(services.outside, ROTATE_AFTER + timedelta(days=1))
    services.deps = replace(services.deps, outside=outside)
    services.key_ring._outside = outside  # the age of keys is judged there
    rotate = stage.api.modules["rotation"].handler
    assert "written_by_from" in rotate({"new_index_key": True}, Context())
    report = rotate({"again": True}, Context())
    assert report["finished"], report
    for table in ("customers", "merchants", "webhook_endpoints"):
        assert report["tables"][table]["failed"] == 0
        assert report["tables"][table]["renewed"] >= 1
    row = stage.api("GET", path, authorizer=who).body
    assert (row["name"], row["email"]) == ("Ada", email)
    assert [each["last4"] for each in row["payment_methods"]] == ["4242"]
    found = stage.api("GET", "/v1/customers", query=f"email={email}", authorizer=who).body["data"]
    assert [each["id"] for each in found] == [row["id"]]
