"""The contract: one table of routes, a valid OpenAPI 3.1 document, handlers for all of it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from runtime.api.docs_page import DOCS_PAGE
from runtime.api.endpoints import ENDPOINTS
from runtime.api.openapi import openapi_document
from runtime.functions import process, query
from runtime.functions.composition.query_services import QueryServices, query_services
from runtime.functions.http.function import HttpFunction
from runtime.functions.http.routes import Routes
from runtime.http.endpoint import Endpoint
from runtime.http.problem import Health
from runtime.ledger.accounts.api import AccountQuery
from runtime.payments.api import PaymentRequest

PINNED = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"


def test_the_document_is_valid_openapi_3_1() -> None:
    document = openapi_document()
    assert document["openapi"].startswith("3.1")
    validate(document, cls=OpenAPIV31SpecValidator)


def test_the_document_is_the_committed_one() -> None:
    """A change of the API is a change of docs/openapi.json: `make docs` writes it."""
    assert openapi_document() == json.loads(PINNED.read_text())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.operation)
def test_every_endpoint_is_described_with_its_answers_and_refusals(endpoint: Endpoint) -> None:
    operation = openapi_document()["paths"][endpoint.path][endpoint.method.lower()]
    assert operation["operationId"] == endpoint.operation
    statuses = set(operation["responses"])
    assert {str(int(status)) for status in endpoint.answers} <= statuses
    assert {"400", "500"} <= statuses
    if not endpoint.public:
        assert {"401", "403", "422", "503"} <= statuses
        assert operation["security"] == [{"bearer": []}]
    if endpoint.body is not None:
        assert {"413", "415"} <= statuses
        assert operation["requestBody"]["required"] is True
    if endpoint.idempotent != "no":
        assert "409" in statuses
    shown = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
    unsaid = set() if endpoint.public else {"merchant_id"}
    assert shown == (set(endpoint.query.model_fields) if endpoint.query else unsaid)


def test_the_document_describes_only_endpoints() -> None:
    described = {
        (method.upper(), path)
        for path, operations in openapi_document()["paths"].items()
        for method in operations
    }
    assert described == {(e.method, e.path) for e in ENDPOINTS}
    assert len({e.operation for e in ENDPOINTS}) == len(ENDPOINTS)


def test_problems_are_described_as_problem_json() -> None:
    operation = openapi_document()["paths"]["/v1/payments"]["post"]
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            assert "application/problem+json" in answer["content"]


def test_money_moving_routes_require_a_key_and_reading_ones_never_do() -> None:
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            assert endpoint.idempotent == "no"
        if endpoint.method == "POST" and not endpoint.signed:
            assert endpoint.idempotent != "no", endpoint.operation
    assert next(e for e in ENDPOINTS if e.operation == "createPayment").idempotent == "required"


@pytest.mark.parametrize(("name", "module"), [("process", process), ("query", query)])
def test_every_endpoint_has_a_handler(name: str, module: object) -> None:
    mine = {e.operation for e in ENDPOINTS if e.function == name}
    assert set(module.ROUTES.operations) == mine  # type: ignore[attr-defined]


def test_the_query_function_reads_and_the_process_function_changes() -> None:
    for endpoint in ENDPOINTS:
        assert (endpoint.function == "query") == (endpoint.method == "GET"), endpoint.operation


def test_a_function_with_a_missing_handler_cannot_be_built() -> None:
    routes: Routes[QueryServices] = Routes("query")
    with pytest.raises(AssertionError, match="without a handler"):
        HttpFunction(routes, query_services)


def test_another_functions_operation_cannot_be_declared() -> None:
    routes: Routes[QueryServices] = Routes("query")
    with pytest.raises(AssertionError, match="createPayment is not an operation of"):
        routes.handles("createPayment")


def test_the_documentation_page_needs_no_other_host() -> None:
    page = DOCS_PAGE.answer({"accept-encoding": "gzip"})
    body = gzip.decompress(base64.b64decode(page.body or "")).decode()
    assert "swagger-ui" in body
    assert "/v1/payments" in body
    assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?!data:)[^\"]*", body) == []
    assert "@import" not in body
    policy = str(page.headers["Content-Security-Policy"])
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_the_documents_text_cannot_close_the_pages_script() -> None:
    page = DOCS_PAGE.answer({"accept-encoding": "gzip"})
    body = gzip.decompress(base64.b64decode(page.body or "")).decode()
    assert body.count("</script>") == 2


def test_an_operation_with_other_parameters_than_its_endpoint_cannot_be_declared() -> None:
    routes: Routes[QueryServices] = Routes("query")
    use_cases = routes.using(lambda services: services)
    with pytest.raises(AssertionError, match="listPayments: its path is /v1/payments"):
        use_cases.with_id("listPayments", lambda *_: Health(stage="test"))
    with pytest.raises(AssertionError, match="listPayments has the query"):
        use_cases.with_query("listPayments", lambda *_: Health(stage="test"), AccountQuery)
    with pytest.raises(AssertionError, match="getPayment has the body None"):
        use_cases.with_id_and_body("getPayment", lambda *_: Health(stage="test"), PaymentRequest)
