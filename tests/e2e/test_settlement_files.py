"""A settlement file over HTTP: created, uploaded through its signed link, explained, reported."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.api_client import ApiClient
from local.demo.payout_file import SHORT_BY, WRONG_CURRENCY, PayoutFile, payout_file
from local.errors import LocalError
from local.progress import Progress
from operations.settlement_summary import print_summary
from operations.upload_settlement import Target, upload
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS

FILES = "/v1/settlement-files"


def paid(client: ApiClient, key: str, amount: int = 2500) -> Any:
    sale = {"amount": amount, "currency": WRONG_CURRENCY, "payment_method": "tok_approved"}
    payment = client.post("/v1/payments", sale, key=key).require(201)
    return client.get(f"/v1/payments/{payment['id']}").require(200)


def finished(client: ApiClient, file_id: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        file = client.get(f"{FILES}/{file_id}").require(200)
        if file["status"] not in ("received", "processing"):
            return file
        time.sleep(0.2)
    raise AssertionError(f"{file_id} was not processed within {PATIENCE_SECONDS} s")


def put(made: Any, content: bytes, **headers: str) -> httpx.Response:
    return httpx.put(
        made["upload_url"],
        content=content,
        headers=headers,
        trust_env=False,
        timeout=PATIENCE_SECONDS,
    )


def uploaded(client: ApiClient, name: str, content: bytes) -> Any:
    """The file, uploaded through its link, once it is processed."""
    made = client.post(FILES, {"name": name}).require(201)
    assert put(made, content).status_code == 200
    return finished(client, made["id"])


def stripe_file(shop: Shop, payments: int = 4) -> PayoutFile:
    return payout_file([paid(shop.client, str(number)) for number in range(payments)])


def test_a_file_is_uploaded_through_its_link_explained_and_reported(
    deployment: Deployment, shop: Shop
) -> None:
    file = stripe_file(shop)
    digest = hashlib.sha256(file.content).hexdigest()
    made = shop.client.post(FILES, {"name": file.name, "sha256": digest}).require(201)
    assert put(made, file.content, **made["upload_headers"]).status_code == 200
    row = finished(shop.client, made["id"])
    assert row["status"] == "completed_with_exceptions"
    assert (row["format"], row["sha256"], row["size"]) == ("stripe", digest, len(file.content))
    assert row["progress"]["chunks_done"] == row["progress"]["chunks"] == 1
    (settlement_id,) = row["settlement_ids"]
    path = f"/v1/settlements/{settlement_id}"
    settlement = shop.client.get(path).require(200)
    assert settlement["payout"] == file.paid
    assert settlement["remainder"] == {WRONG_CURRENCY: 0}
    assert settlement["counts"] == {"matched": 5, "amount_mismatch": 1}
    assert settlement["open_exceptions"] == 1
    assert settlement["file_ids"] == [made["id"]]
    (listed,) = shop.client.get("/v1/settlements", status="completed_with_exceptions").body["data"]
    assert listed == settlement
    lines = shop.client.get(f"{path}/lines").require(200)["data"]
    assert [line["file_line"] for line in lines] == list(range(2, 8))
    (wrong,) = shop.client.get(f"{path}/lines", status="amount_mismatch").require(200)["data"]
    assert wrong["transaction_id"] == file.wrong_transaction
    assert wrong["expected"]["amount"] - wrong["amount"] == SHORT_BY
    report = shop.client.get(f"{path}/report").require(200)
    page = httpx.get(report["url"], trust_env=False, timeout=PATIENCE_SECONDS)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Open exceptions (1)" in page.text
    text = httpx.get(report["csv_url"], trust_env=False, timeout=PATIENCE_SECONDS).text
    assert [row["file_line"] for row in csv.DictReader(io.StringIO(text))] == [
        str(number) for number in range(2, 8)
    ]
    stranger = deployment.shop()
    for closed in (f"{FILES}/{made['id']}", path, f"{path}/lines", f"{path}/report"):
        assert stranger.client.get(closed).status == 404, closed


def test_the_same_bytes_in_another_upload_change_nothing(shop: Shop) -> None:
    file = stripe_file(shop)
    states = []
    for _ in range(2):
        row = uploaded(shop.client, file.name, file.content)
        (settlement_id,) = row["settlement_ids"]
        settlement = shop.client.get(f"/v1/settlements/{settlement_id}").require(200)
        lines = shop.client.get(f"/v1/settlements/{settlement_id}/lines").require(200)["data"]
        sums = {k: settlement[k] for k in ("id", "counts", "payout", "remainder", "by_type")}
        states.append((sums, [(line["line"], line["status"], line["amount"]) for line in lines]))
    assert states[0] == states[1]


def test_a_file_with_a_different_checksum_than_announced_is_rejected(shop: Shop) -> None:
    body = {"name": "payout.csv", "sha256": hashlib.sha256(b"these bytes").hexdigest()}
    made = shop.client.post(FILES, body).require(201)
    if put(made, b"other bytes").status_code == 200:
        # S3 would refuse it; if the store does not, the planner does.
        row = finished(shop.client, made["id"])
        assert row["status"] == "rejected"
        assert "sha256" in row["reason"].lower().replace("-", "")
        (listed,) = shop.client.get(FILES, status="rejected").require(200)["data"]
        assert listed["id"] == made["id"]


def test_the_command_uploads_waits_and_explains(
    deployment: Deployment, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = stripe_file(shop)
    path = tmp_path / file.name
    path.write_bytes(file.content)
    target = Target(deployment.operator, shop.merchant_id)
    uploaded = upload(path, target, Progress())
    for settlement in uploaded.settlements:
        print_summary(settlement, target.client, target.query())
    out = capsys.readouterr().out
    assert "remainder" in out
    assert "amount_mismatch" in out
    assert "accept" in out


def test_the_command_reports_why_a_file_is_rejected(
    deployment: Deployment, shop: Shop, tmp_path: Path
) -> None:
    path = tmp_path / "payout.csv"
    path.write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    target = Target(deployment.operator, shop.merchant_id)
    with pytest.raises(LocalError, match=r"rejected: .*PDF"):
        upload(path, target, Progress())
