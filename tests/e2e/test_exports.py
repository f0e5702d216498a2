"""An export over HTTP: requested, written by the deployed worker, downloaded through its link."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from typing import Any

import httpx

from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS

FORMULA = '=HYPERLINK("https://evil.example")'


def _exported(shop: Shop, **body: Any) -> tuple[dict[str, Any], bytes]:
    """The completed export and its file."""
    asked = shop.client.post("/v1/exports", body).require(202)
    assert (asked["status"], asked["result_url"]) == ("queued", None)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        export = shop.client.get(f"/v1/exports/{asked['id']}").require(200)
        if export["status"] in ("completed", "failed"):
            break
        time.sleep(0.2)
    assert export["status"] == "completed", export
    # The link alone is enough: no token is sent with it.
    answer = httpx.get(export["result_url"], timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    assert hashlib.sha256(answer.content).hexdigest() == export["sha256"]
    assert len(answer.content) == export["size"]
    return export, answer.content


def test_payments_are_exported_as_csv_and_as_json_lines(deployment: Deployment, shop: Shop) -> None:
    sale = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
    for number in range(3):
        body = {**sale, "amount": 1000 + number, "description": FORMULA}
        shop.client.post("/v1/payments", body, key=str(number)).require(201)
    deployment.shop().client.post("/v1/payments", sale, key="theirs").require(201)
    listed = shop.client.get("/v1/payments").require(200)["data"]

    export, content = _exported(shop, kind="payments", format="jsonl")
    assert [json.loads(line) for line in content.splitlines()] == listed
    assert (export["rows"], export["progress"]) == (3, 3)

    export, content = _exported(shop, kind="payments", min_amount=1001)
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))
    assert [row["id"] for row in rows] == [each["id"] for each in listed[:2]]
    assert list(rows[0]) == list(listed[0])
    assert all(row["description"] == "'" + FORMULA for row in rows)
    assert export["filters"] == {"min_amount": "1001"}

    exports = shop.client.get("/v1/exports", status="completed").require(200)["data"]
    assert [each["format"] for each in exports] == ["csv", "jsonl"]
    assert deployment.shop().client.get(f"/v1/exports/{export['id']}").status == 404
