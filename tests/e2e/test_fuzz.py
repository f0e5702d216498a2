"""Requests generated from the served OpenAPI document, valid and invalid, to every operation.

Schemathesis generates them. Whatever is sent: no 5xx, no status missing from the document, no
response that violates its schema. FUZZ_EXAMPLES requests of each kind to each operation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from local.auth import MERCHANT_PERMISSIONS
from runtime.api.endpoints import ENDPOINTS
from runtime.http.endpoint import Endpoint
from tests.e2e.conftest import Deployment
from tests.support.tenant import Tenant, settle_in

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 4)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


AUTHENTICATED = {"amount": 1000, "currency": "USD", "payment_method": "tok_requires_action"}


@pytest.fixture(scope="module")
def tenant(deployment: Deployment) -> Tenant:
    shop = deployment.shop()
    settled = settle_in(shop.merchant_id, shop.client, deployment.operator)
    waiting = shop.client.post("/v1/payments", AUTHENTICATED, key="authenticated").require(202)
    settled.ids["action"] = waiting["next_action"]["url"].rpartition("/")[2]
    return settled


@pytest.fixture(scope="module")
def document(deployment: Deployment) -> Any:
    return schemathesis.openapi.from_url(f"{deployment.stack.api_url}/v1/openapi.json")


def real(parameters: Mapping[str, Any] | None, path: str, tenant: Tenant) -> dict[str, Any]:
    """The drawn path parameters, with ids of things that exist."""
    kind = path.split("/")[2].rstrip("s").replace("-", "_")
    if path.endswith(("/capture", "/cancel")) and kind == "payment":
        kind = "authorization"
    exists = {
        "id": tenant.ids.get(kind, "nothing"),
        "pm_id": tenant.ids["payment_method"],
        "account": "sandbox",
        "action": tenant.ids["action"],
        "entity_id": tenant.ids["payment"],
        "processor": "sandbox",
        "settlement_id": tenant.ids.get("settlement", "nothing"),
        "line": "2",
    }
    return {name: exists[name] for name in parameters or {}}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.operation)
def test_every_response_conforms_to_the_document(
    endpoint: Endpoint,
    mode: GenerationMode,
    document: Any,
    tenant: Tenant,
    deployment: Deployment,
) -> None:
    operation = document[endpoint.path][endpoint.method]
    bearers = [
        deployment.bearer(tenant.merchant_id, *MERCHANT_PERMISSIONS),
        deployment.bearer(None, "admin"),
    ]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        bearer=st.sampled_from(bearers),
        exists=st.booleans(),
    )
    def answers(case: Any, bearer: str, exists: bool) -> None:
        if exists and case.path_parameters:
            case.path_parameters = real(case.path_parameters, endpoint.path, tenant)
        headers = {"Authorization": f"Bearer {bearer}"}
        if endpoint.idempotent == "required" and "Idempotency-Key" not in (case.headers or {}):
            headers["Idempotency-Key"] = uuid4().hex
        response = case.call(base_url=deployment.stack.api_url, headers=headers)
        case.validate_response(response, checks=CHECKS)

    if mode is GenerationMode.NEGATIVE and not operation.body and not list(operation.query):
        pytest.skip("the operation has no input")
    answers()
