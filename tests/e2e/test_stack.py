"""The deployed stack: tables with their expiry, served documents, schedules."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from local.api_client import ApiClient
from runtime.api.openapi import openapi_document
from runtime.tables import ALL_TABLES
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.deployed_stage import remote_stage
from tests.support.stages.patience import PATIENCE_SECONDS


@pytest.mark.emulator("it reads or edits the tables behind the API")
def test_the_deployed_tables_are_the_declared_ones(deployment: Deployment) -> None:
    dynamodb = deployment.aws.dynamodb
    for schema in ALL_TABLES:
        name = deployment.stack.tables[schema.name]
        table = dynamodb.describe_table(TableName=name)["Table"]
        expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        indexes = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])}
        assert indexes == {index.name for index in schema.indexes}
        assert expiry.get("AttributeName") == schema.ttl_attribute


def test_the_served_openapi_document_is_the_generated_one(deployment: Deployment) -> None:
    """Which is valid: tests/unit/api/test_openapi.py."""
    anybody = ApiClient(deployment.stack.api_url, None)
    served = anybody.get("/v1/openapi.json").require(200)
    assert served == json.loads(json.dumps(openapi_document()))


def test_health_and_the_documentation_need_no_token(deployment: Deployment) -> None:
    anybody = ApiClient(deployment.stack.api_url, None)
    assert anybody.get("/v1/health").require(200) == {
        "status": "ok",
        "stage": remote_stage() or "local",
    }
    page = anybody.get("/v1/docs")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert '<script src="' not in page.text
    assert "createPayment" in page.text
    assert page.headers["content-encoding"] == "gzip"
    known = {"If-None-Match": page.headers["etag"]}
    again = anybody.send("GET", "/v1/docs", headers=known)
    assert (again.status, again.text) == (304, "")


def test_the_type_of_an_error_leads_to_what_to_do_about_it(deployment: Deployment) -> None:
    anybody = ApiClient(deployment.stack.api_url, None)
    refused = anybody.get("/v1/sandbox/actions/unknown").require(404)
    page, _, code = refused["type"].partition("#")
    assert code == refused["code"]
    listed = httpx.get(page, timeout=PATIENCE_SECONDS)
    assert listed.status_code == 200
    assert f'<h2 id="{code}">' in listed.text


def test_the_schedule_runs_and_resolves_a_payment_with_a_lost_response(shop: Shop) -> None:
    sale = {"amount": 700, "currency": "USD", "payment_method": "tok_timeout"}
    lost = shop.client.post("/v1/payments", sale, key="clock").require(202)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        payment = shop.client.get(f"/v1/payments/{lost['id']}").require(200)
        if payment["status"] != "unknown":
            break
        time.sleep(1)
    assert payment["status"] == "succeeded"
