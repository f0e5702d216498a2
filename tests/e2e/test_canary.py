"""The deployed canary pays once, however often its schedule's event arrives."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.api_client import ApiClient
from local.schedules import tick
from operations.canary_merchant import CanaryTarget, set_up_canary
from tests.e2e.conftest import Deployment
from tests.support.stages.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.emulator("it invokes the canary's function")


@pytest.fixture(scope="module")
def merchant_id(deployment: Deployment) -> str:
    url = deployment.stack.api_url
    target = CanaryTarget("local", False, url, deployment.operator, deployment.aws.secrets)
    made = set_up_canary(target)
    replaced = set_up_canary(target)
    assert replaced.merchant_id == made.merchant_id
    assert replaced.api_key_id != made.api_key_id
    return made.merchant_id


def _at(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _payments(deployment: Deployment, merchant: str, run: str) -> list[dict[str, Any]]:
    client: ApiClient = deployment.client(merchant, "payments")
    found = client.get("/v1/payments", limit=100, idempotency_key=run).require(200)["data"]
    return list(found)


def test_a_run_that_arrives_twice_and_at_once_is_one_payment(
    deployment: Deployment, merchant_id: str
) -> None:
    moment = _at(datetime.now(UTC))
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(tick, deployment.stack, "canary", time=moment) for _ in range(2)]
        reports = [run.result()[0] for run in runs]
    reports.append(tick(deployment.stack, "canary", time=moment)[0])
    assert [report.get("failed") for report in reports] == [None] * 3, json.dumps(reports)
    assert len({report["payment_id"] for report in reports}) == 1
    (payment,) = _payments(deployment, merchant_id, reports[0]["run"])
    assert payment["id"] == reports[0]["payment_id"]
    assert (payment["amount_captured"], payment["amount_refunded"]) == (1, 1)


def test_a_run_that_died_after_its_payment_is_finished(
    deployment: Deployment, merchant_id: str
) -> None:
    moment = datetime.now(UTC) - timedelta(minutes=1)
    run = moment.strftime("canary-%Y%m%dT%H%M%SZ")
    sale = {"amount": 1, "currency": "USD", "payment_method": "tok_approved", "description": run}
    client = deployment.client(merchant_id, "payments")
    half = client.post("/v1/payments", sale, key=run).require(201)
    report, _ = tick(deployment.stack, "canary", time=_at(moment))
    assert report.get("failed") is None
    assert report["payment_id"] == half["id"]
    (payment,) = _payments(deployment, merchant_id, run)
    assert (payment["amount_captured"], payment["amount_refunded"]) == (1, 1)


def test_a_run_that_is_too_late_pays_nothing(deployment: Deployment, merchant_id: str) -> None:
    moment = datetime.now(UTC) - timedelta(hours=1)
    report, _ = tick(deployment.stack, "canary", time=_at(moment))
    late = re.fullmatch(r"it began (\d+) s late", report["skipped"])
    assert late is not None
    assert 3_600 <= int(late[1]) < 3_600 + PATIENCE_SECONDS
    assert _payments(deployment, merchant_id, report["run"]) == []
