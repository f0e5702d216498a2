"""Exceptions of a settlement are resolved, until it is completed."""

from __future__ import annotations

import time
from typing import Any

from local.api_client import ApiClient
from tests.e2e.conftest import Deployment, Shop
from tests.e2e.test_settlement_files import uploaded
from tests.support.stages.patience import PATIENCE_SECONDS

HEADER = "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date"


def _until(client: ApiClient, path: str, count: int, **query: Any) -> list[Any]:
    """The list, as soon as it has so many rows."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = client.get(path, **query).require(200)["data"]
        if len(found) == count:
            return list(found)
        time.sleep(0.2)
    raise AssertionError(f"{path} has not {count} rows within {PATIENCE_SECONDS} s")


def test_resolving_the_last_exception_completes_the_settlement(
    deployment: Deployment, shop: Shop
) -> None:
    sale = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
    payment = shop.client.post("/v1/payments", sale, key="sale").require(201)["id"]
    detail = shop.client.get(f"/v1/payments/{payment}").require(200)
    transaction = detail["transactions"][0]["id"]
    expected = _until(shop.client, "/v1/settlement-lines", 1, status="expected")
    assert expected[0]["transaction_id"] == transaction
    lines = (
        HEADER,
        f"{payment},{transaction},settled,900,59,841,USD,2026-01-01,2026-01-02",
        "pay_unknown,txn_unknown,settled,5,0,5,USD,2026-01-01,2026-01-02",
        "",
    )
    uploaded(shop.client, "2026-01-02.csv", "\n".join(lines).encode())
    closed = {"status": "completed_with_exceptions"}
    (settlement,) = _until(shop.client, "/v1/settlements", 1, **closed)
    old = {"min_age_days": 100, "settlement_id": settlement["id"]}
    unexpected, mismatch = _until(shop.client, "/v1/settlement-lines", 2, **old)
    assert (mismatch["status"], mismatch["expected"]["amount"]) == ("amount_mismatch", 1000)
    path = f"/v1/settlement-lines/{settlement['id']}/{mismatch['line']}/resolve"
    decision = {"action": "write_off", "note": "agreed with the processor"}
    reports = deployment.client(shop.merchant_id, "reports")
    refused = reports.post(path, decision, key="refused").require(403)
    assert "Only an operator" in refused["detail"]
    accepted = {**decision, "action": "accept"}
    refused = reports.post(path, accepted, key="refused").require(403)
    assert "transfers" in refused["detail"]
    resolved = deployment.operator.post(path, decision, key="decide").require(200)
    assert resolved["resolution"]["note"] == decision["note"]
    again = deployment.operator.post(path, decision, key="again").require(409)
    assert again["code"] == "already_resolved"
    ignored = {"settlement_id": settlement["id"], "line": unexpected["line"], "action": "ignore"}
    bulk = {"lines": [{**ignored, "note": "not ours"}]}
    reported = reports.post("/v1/settlement-lines/resolve", bulk, key="bulk").require(200)
    assert (reported["resolved"], reported["failed"]) == (1, 0)
    done = shop.client.get(f"/v1/settlements/{settlement['id']}").require(200)
    assert (done["status"], done["open_exceptions"]) == ("completed", 0)
    completed = {"action": "settlement_completed"}
    (last,) = _until(shop.client, "/v1/audit", 1, **completed)
    assert last["new_values"]["last_resolution"]["note"] == "not ours"
    before = shop.client.get("/v1/audit", action="exception_resolved").require(200)["data"]
    assert [row["new_values"]["last_resolution"]["note"] for row in before] == [decision["note"]]
