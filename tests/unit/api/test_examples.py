"""The examples of the OpenAPI document are what the functions answer.

Every request of simulation/api_examples is sent to the real functions, on a simulated platform, and
its status is asserted. What they answer must equal the committed examples in every byte, once ids,
hashes, secrets, cursors and signed links are replaced in the order in which they appear, and times
are cut to ten seconds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from local.docs import EXAMPLES
from runtime.api.document.examples import Example, event_example, examples_of
from runtime.api.endpoints import ENDPOINTS
from runtime.api.openapi import openapi_document
from runtime.http.endpoint import Endpoint
from runtime.webhooks.models import EventType
from simulation.api_examples.recording import examples_text

HOW = (
    "Add a step to a module of simulation/api_examples (`book.example(…)`), then run "
    "`python -m local.docs`."
)
ALL = [example for endpoint in ENDPOINTS for example in examples_of(endpoint.operation)]


def schema_errors(value: Any, schema: dict[str, Any]) -> list[str]:
    whole = Resource(contents=openapi_document(), specification=DRAFT202012)
    registry = Registry().with_resource("urn:api", whole)
    inside = {"$ref": "urn:api" + schema["$ref"]} if "$ref" in schema else schema
    checks = Draft202012Validator(
        inside, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [each.message for each in checks.iter_errors(value)]


def test_the_committed_examples_are_what_the_functions_answer() -> None:
    assert examples_text() == EXAMPLES.read_text("utf-8"), "Run `python -m local.docs`."


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.operation)
def test_every_operation_has_an_example_of_its_success(endpoint: Endpoint) -> None:
    statuses = {example.status for example in examples_of(endpoint.operation)}
    assert statuses & {int(status) for status in endpoint.answers}, HOW
    keys = Counter(example.key for example in examples_of(endpoint.operation))
    assert set(keys.values()) == {1}, "Two examples have the same title."


@pytest.mark.parametrize("event_type", EventType)
def test_every_event_has_an_example(event_type: EventType) -> None:
    example = event_example(event_type)
    assert example is not None, HOW
    described = openapi_document()["webhooks"][event_type]["post"]["requestBody"]
    assert schema_errors(example, described["content"]["application/json"]["schema"]) == []


@pytest.mark.parametrize("example", ALL, ids=lambda each: f"{each.operation}-{each.key}")
def test_an_example_has_the_form_that_the_document_describes(example: Example) -> None:
    endpoint = next(each for each in ENDPOINTS if each.operation == example.operation)
    operation = openapi_document()["paths"][endpoint.path][endpoint.method.lower()]
    if example.body is not None and not example.is_malformed:
        [content] = operation["requestBody"]["content"].values()
        assert schema_errors(example.body, content["schema"]) == []
    if example.answer is not None:
        contents = operation["responses"][str(example.status)]["content"]
        kind = "application/json" if example.status < 400 else "application/problem+json"
        assert schema_errors(example.answer, contents[kind]["schema"]) == []
