"""The contract: one table of routes, a valid OpenAPI 3.1 document, handlers for all of it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from pydantic import BaseModel

from runtime.api.docs_page import DOCS_PAGE
from runtime.api.document.descriptions import FIELDS, PATH_PARAMETERS
from runtime.api.document.events import DATA, SUMMARIES
from runtime.api.document.notes import ANSWERS, NOTES, TAGS
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
from runtime.webhooks.api import WebhookBody
from runtime.webhooks.models import EventType

HOW_TO_DESCRIBE = (
    "Give the model's field a Field(description=…), or add it to FIELDS (path parameters: "
    "PATH_PARAMETERS) in runtime/api/document/descriptions.py."
)
PINNED = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"


def resolved(node: Any) -> Any:
    """What a reference within the document stands for."""
    if "$ref" not in node:
        return node
    found = openapi_document()
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def operations() -> Iterator[tuple[str, Any]]:
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


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
    parameters = [resolved(each) for each in operation["parameters"]]
    shown = {p["name"] for p in parameters if p["in"] == "query"}
    unsaid = set() if endpoint.public else {"merchant_id"}
    assert shown == (set(endpoint.query.model_fields) if endpoint.query else unsaid)


def test_every_operation_has_a_description() -> None:
    bare = [name for name, operation in operations() if not operation["description"]]
    assert bare == [], "Add them to NOTES in runtime/api/document/notes.py."


def test_every_parameter_has_a_description() -> None:
    bare = [
        f"{name}: {parameter['name']}"
        for name, operation in operations()
        for parameter in map(resolved, operation["parameters"])
        if not parameter["description"]
    ]
    assert bare == [], HOW_TO_DESCRIBE


def test_parameters_are_left_out_rather_than_null_and_share_lists_of_values() -> None:
    for name, operation in operations():
        for parameter in map(resolved, operation["parameters"]):
            where = f"{name}: {parameter['name']}"
            assert "null" not in json.dumps(parameter["schema"]), where
            assert "enum" not in parameter["schema"], where


def test_every_property_and_every_schema_has_a_description() -> None:
    schemas = openapi_document()["components"]["schemas"]
    bare = [name for name, schema in schemas.items() if not schema.get("description")]
    bare += [
        f"{name}.{member}"
        for name, schema in schemas.items()
        for member, described in schema.get("properties", {}).items()
        if not described["description"]
    ]
    assert bare == [], HOW_TO_DESCRIBE


def test_every_text_about_the_api_is_used() -> None:
    known = {endpoint.operation for endpoint in ENDPOINTS}
    assert set(NOTES) == known
    assert {operation for operation, _ in ANSWERS} <= known
    assert set(TAGS) == {endpoint.tag for endpoint in ENDPOINTS}
    in_paths = {name for e in ENDPOINTS for name in re.findall(r"{(\w+)}", e.path)}
    assert set(PATH_PARAMETERS) == in_paths
    fields = {each.__name__: set(each.model_fields) for each in all_models()}
    owned = (key.partition(".") for key in FIELDS if "." in key)
    unknown = [f"{model}.{name}" for model, _, name in owned if name not in fields.get(model, ())]
    assert unknown == [], "FIELDS describes what no model has"


def all_models(base: type[BaseModel] = BaseModel) -> Iterator[type[BaseModel]]:
    for each in base.__subclasses__():
        yield each
        yield from all_models(each)


def test_no_schema_has_the_name_of_a_class_that_clients_do_not_know() -> None:
    schemas = openapi_document()["components"]["schemas"]
    assert [name for name in schemas if name.endswith("Answer")] == []
    assert [name for name, schema in schemas.items() if schema["title"] != name] == []


def test_times_and_links_have_formats() -> None:
    schemas = openapi_document()["components"]["schemas"]
    assert schemas["Payment"]["properties"]["created_at"]["format"] == "date-time"
    assert schemas["Merchant"]["properties"]["webhook_url"]["anyOf"][0]["format"] == "uri"
    assert schemas["CustomerRequest"]["properties"]["email"]["format"] == "email"


@pytest.mark.parametrize("event_type", EventType)
def test_every_event_is_described_with_the_schema_of_its_body(event_type: EventType) -> None:
    described = openapi_document()["webhooks"][event_type]["post"]
    schema = resolved(described["requestBody"]["content"]["application/json"]["schema"])
    assert schema["properties"]["type"]["const"] == event_type
    assert set(schema["properties"]) == set(WebhookBody.model_fields)
    assert set(schema["required"]) == set(WebhookBody.model_fields)


def test_every_event_has_its_data_and_a_summary() -> None:
    assert set(DATA) == set(SUMMARIES) == set(EventType), (
        "Add the event to DATA and SUMMARIES in runtime/api/document/events.py."
    )


@pytest.mark.parametrize(
    "base",
    [
        "https://a1b2c3.execute-api.eu-central-1.amazonaws.com",
        "https://api.shop.example",
        "https://api.shop.example/payments",
        "http://127.0.0.1:4566/_aws/execute-api/a1b2c3/$default",
    ],
)
def test_the_server_is_where_the_document_and_the_page_are_served(base: str) -> None:
    [server] = openapi_document()["servers"]
    assert urljoin(f"{base}/v1/openapi.json", server["url"]).rstrip("/") == base
    page = gzip.decompress(base64.b64decode(DOCS_PAGE.answer({"accept-encoding": "gzip"}).body))
    script = page.decode().rpartition("<script>")[2].partition("</script>")[0]
    around = (
        f"const location = {{href: {json.dumps(base + '/v1/docs#/payments')}}};"
        "const SwaggerUIBundle = (given) => console.log(given.spec.servers[0].url);"
    )
    command = ["node", "--input-type=module", "-"]
    ran = subprocess.run(command, input=around + script, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == base


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
            assert "application/problem+json" in resolved(answer)["content"]


def test_money_moving_routes_require_a_key_and_reading_ones_never_do() -> None:
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            assert endpoint.idempotent == "no"
        if endpoint.method == "POST" and not endpoint.public:
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
