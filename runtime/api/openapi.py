"""The OpenAPI 3.1 document, generated from `ENDPOINTS` and the models that validate requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from runtime.api.endpoints import ENDPOINTS
from runtime.http.endpoint import Endpoint
from runtime.http.problem import Problem
from runtime.http.shapes import IDENTIFIER, MAX_IDEMPOTENCY_KEY, Query

API_VERSION: Final = "1.0.0"
_REF: Final = "#/components/schemas/{model}"
_PROBLEM_TYPE: Final = "application/problem+json"
_DESCRIPTION: Final = (
    "Payments, customers, accounts and settlements. Amounts are integers in minor units of their "
    "currency. Errors are RFC 9457 problem documents. Repeat a POST safely with an Idempotency-Key."
)
_ALWAYS: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)
_BUSY: Final = HTTPStatus.SERVICE_UNAVAILABLE
_PATH_MEMBER: Final = re.compile(r"{(\w+)}")
_TEXT_ANSWERS: Final = {"docs": "text/html", "openapi": "application/json"}

Mode = Literal["validation", "serialization"]
Names = dict[type, str]
"""Reference of each model's schema."""


@cache
def openapi_document() -> dict[str, Any]:
    """The document as plain data."""
    models, definitions = models_json_schema(list(_models()), ref_template=_REF)
    names: Names = {model: schema["$ref"] for (model, _), schema in models.items()}
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Payments API", "version": API_VERSION, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def openapi_text() -> str:
    """The document as it is served."""
    return json.dumps(openapi_document(), separators=(",", ":"))


def _models() -> Iterator[tuple[type[BaseModel], Mode]]:
    yield Problem, "serialization"
    for endpoint in ENDPOINTS:
        if endpoint.body is not None:
            yield endpoint.body, "validation"
        for answer in endpoint.answers.values():
            if answer is not None:
                yield answer, "serialization"


def _operation(endpoint: Endpoint, names: Names) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.operation,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": list(_parameters(endpoint)),
        "responses": dict(sorted(_responses(endpoint, names))),
        "security": [] if endpoint.public else [{"bearer": []}],
    }
    if endpoint.permission is not None:
        operation["description"] = f"Needs the permission `{endpoint.permission}` (or `admin`)."
    if endpoint.body is not None:
        content = {"application/json": {"schema": {"$ref": names[endpoint.body]}}}
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.signed:
        content = {"application/json": {"schema": {"type": "object"}}}
        operation["requestBody"] = {"required": True, "content": content}
        operation["description"] = "For processors alone: the signature is in a header of theirs."
    return operation


def _parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    for name in _PATH_MEMBER.findall(endpoint.path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": IDENTIFIER},
        }
    if endpoint.idempotent != "no":
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Required here or as `idempotency_key` in the body."
            if endpoint.idempotent == "required"
            else "Makes the request repeatable.",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY},
        }
    if endpoint.public and endpoint.query is None:
        return
    schema = (endpoint.query or Query).model_json_schema()
    for name, member in schema["properties"].items():
        described = _inlined(member, schema.get("$defs", {}))
        required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": required, "schema": described}


def _inlined(member: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(member, dict):
        if "$ref" in member:
            return definitions[member["$ref"].rpartition("/")[2]]
        return {key: _inlined(value, definitions) for key, value in member.items()}
    if isinstance(member, list):
        return [_inlined(value, definitions) for value in member]
    return member


def _responses(endpoint: Endpoint, names: Names) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, answer in endpoint.answers.items():
        if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            yield str(int(status)), {"description": status.phrase}
            continue
        if answer is None:
            content: dict[str, Any] = {_TEXT_ANSWERS[endpoint.operation]: {"schema": {}}}
        else:
            content = {"application/json": {"schema": {"$ref": names[answer]}}}
        yield str(int(status)), {"description": status.phrase, "content": content}
    for status in _refusals(endpoint):
        content = {_PROBLEM_TYPE: {"schema": {"$ref": names[Problem]}}}
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            content["application/json"] = {
                "schema": {"type": "object", "description": "A refusal by the gateway itself."}
            }
        yield str(int(status)), {"description": status.phrase, "content": content}


def _refusals(endpoint: Endpoint) -> list[HTTPStatus]:
    refusals = {*_ALWAYS, *endpoint.refusals}
    if not endpoint.public:
        refusals |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, _BUSY}
        refusals |= {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND}
    if endpoint.body is not None:
        refusals |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    if endpoint.idempotent != "no":
        refusals.add(HTTPStatus.CONFLICT)
    return sorted(refusals)
