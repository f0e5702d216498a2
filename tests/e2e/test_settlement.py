"""A file in the bucket becomes a settlement: bucket, event, queue, function, tables, API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local.api_client import ApiClient
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.emulator("it puts files into the bucket directly")

HEADER = "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date"
WORKING = {"received", "processing"}


def _pay(client: ApiClient, key: str) -> tuple[str, str]:
    sale = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
    payment = client.post("/v1/payments", sale, key=key).require(201)
    detail = client.get(f"/v1/payments/{payment['id']}").require(200)
    return payment["id"], detail["transactions"][0]["id"]


def _drop(deployment: Deployment, shop: Shop, day: str, *lines: str) -> None:
    deployment.aws.files.put_object(
        Bucket=deployment.stack.buckets["settlement"],
        Key=f"reconciliation/{shop.merchant_id}/{day}.csv",
        Body="\n".join((HEADER, *lines, "")).encode(),
    )


def _await(shop: Shop, count: int) -> list[Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = shop.client.get("/v1/settlements").require(200)["data"]
        if len(found) == count and all(each["status"] != "processing" for each in found):
            return list(found)
        time.sleep(0.2)
    raise AssertionError(f"no {count} finished settlements within {PATIENCE_SECONDS} s")


def _await_files(shop: Shop, count: int) -> list[Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = shop.client.get("/v1/settlement-files").require(200)["data"]
        if len(found) == count and not WORKING & {each["status"] for each in found}:
            return list(found)
        time.sleep(0.2)
    raise AssertionError(f"no {count} finished files within {PATIENCE_SECONDS} s")


def test_every_line_gets_its_status_and_matched_ones_are_settled(
    deployment: Deployment, shop: Shop
) -> None:
    pays = [_pay(shop.client, str(number)) for number in range(5)]
    stranger = deployment.shop()
    foreign = _pay(stranger.client, "theirs")

    def line(number: int, status: str = "settled", amount: int = 1000, fee: int = 59) -> str:
        payment, transaction = pays[number]
        return f"{payment},{transaction},{status},{amount},{fee},{amount - fee},USD,2026-01-01,"

    _drop(
        deployment,
        shop,
        "2026-01-02",
        line(0),
        line(0),
        line(1, amount=999),
        line(2, fee=58),
        line(3, status="pending"),
        line(4).replace("USD", "EUR"),
        f"{foreign[0]},{foreign[1]},settled,1000,59,941,USD,,",
        "what,is,this",
    )
    (settlement,) = _await(shop, 1)
    assert settlement["status"] == "completed_with_exceptions"
    assert settlement["counts"] == {
        "matched": 1,
        "duplicate": 1,
        "amount_mismatch": 1,
        "fee_mismatch": 1,
        "status_mismatch": 1,
        "currency_mismatch": 1,
        "unexpected": 1,
        "invalid": 1,
    }
    assert settlement["totals"] == {"USD": {"amount": 1000, "fee": 59, "net": 941}}
    path = f"/v1/settlements/{settlement['id']}"
    lines = shop.client.get(f"{path}/lines").require(200)["data"]
    assert [each["line"] for each in lines] == list(range(2, 10))
    (invalid,) = shop.client.get(f"{path}/lines", status="invalid").require(200)["data"]
    assert (invalid["line"], invalid["reason"]) == (9, "3 columns instead of 9")
    statuses = [
        shop.client.get(f"/v1/payments/{payment}").require(200)["transactions"][0]["status"]
        for payment, _ in pays
    ]
    assert statuses == ["settled", "succeeded", "succeeded", "succeeded", "succeeded"]
    theirs = stranger.client.get(f"/v1/payments/{foreign[0]}").require(200)
    assert theirs["transactions"][0]["status"] == "succeeded"
    assert stranger.client.get(path).status == 404


def test_the_same_file_again_changes_nothing(deployment: Deployment, shop: Shop) -> None:
    payment, transaction = _pay(shop.client, "once")
    line = f"{payment},{transaction},settled,1000,59,941,USD,2026-01-01,2026-01-03"
    _drop(deployment, shop, "2026-01-03", line)
    (first,) = _await(shop, 1)
    _drop(deployment, shop, "2026-01-03", line)
    other = deployment.shop()
    payment, transaction = _pay(other.client, "later")
    later = f"{payment},{transaction},settled,1000,59,941,USD,2026-01-01,2026-01-03"
    _drop(deployment, other, "2026-01-03", later)
    _await(other, 1)
    _await_files(shop, 2)
    (second,) = shop.client.get("/v1/settlements").require(200)["data"]
    for name in ("id", "status", "counts", "totals", "by_type", "lines"):
        assert second.get(name) == first.get(name), name
    assert first["status"] == "completed"


def test_a_file_with_another_header_is_rejected_with_the_reason_and_moved(
    deployment: Deployment, shop: Shop
) -> None:
    bucket = deployment.stack.buckets["settlement"]
    key = f"reconciliation/{shop.merchant_id}/2026-01-04.csv"
    deployment.aws.files.put_object(Bucket=bucket, Key=key, Body=b"id;amount\n1;2\n")
    (settlement,) = _await(shop, 1)
    assert settlement["status"] == "rejected"
    assert "begins with the columns id" in settlement["rejection_reason"]
    (file,) = _await_files(shop, 1)
    assert (file["status"], file["reason"]) == ("rejected", settlement["rejection_reason"])
    moved = deployment.aws.files.get_object(Bucket=bucket, Key=f"rejected/{key}")
    assert moved["Body"].read() == b"id;amount\n1;2\n"
