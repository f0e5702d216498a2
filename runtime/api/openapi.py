"""The OpenAPI 3.1 document, generated from `ENDPOINTS` and the models that validate requests.

Its texts and examples are in `runtime/api/document/`. Nothing of it is imported by a cold start:
the functions import this module when the document or its page is first asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from runtime.api.document.error_codes import catalogue
from runtime.api.document.events import DATA, event_schemas, webhooks
from runtime.api.document.notes import INTRODUCTION, TAGS
from runtime.api.document.operations import operation_of
from runtime.api.document.schemas import Mode, schemas_of
from runtime.api.endpoints import ENDPOINTS
from runtime.api.public_text import PublicText
from runtime.http.problem import GatewayRefusal, Problem
from runtime.http.shapes import Answer
from runtime.webhooks.api import WebhookBody

API_VERSION: Final = "1.0.0"
SERVER: Final = ".."
"""Relative to where the document is served, `/v1/openapi.json` below whatever prefix: so it is
right under a stage of API Gateway and under a domain of one's own. Like the default server `/`, it
ends in a slash when it is resolved, which clients remove before they append a path."""
_LICENSE: Final = {"name": "Apache 2.0", "identifier": "Apache-2.0"}
_HEADERS: Final = {
    "x-request-id": ("Id of the request; quote it to support.", "string", "req_JKJaXmPLvHcESHA="),
    "Retry-After": ("Seconds after which to send the request again.", "integer", 1),
    "Idempotent-Replayed": (
        "`true` where this is the stored answer to an earlier request with the same key.",
        "string",
        "true",
    ),
    "WWW-Authenticate": (
        "The challenge of RFC 6750; absent where a signature was wrong.",
        "string",
        'Bearer realm="payments", error="invalid_token"',
    ),
}
_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": (
        "A JWT of the platform's issuer, or an API key (`sk_…`), in the header `Authorization: "
        "Bearer …`. Claims: `sub`, `merchant_id` (absent for operators), `permissions`, `iss`, "
        "`aud` and `exp`."
    ),
}


@cache
def openapi_document() -> dict[str, Any]:
    """The document as plain data."""
    schemas = schemas_of(_models())
    code = schemas[Problem.__name__]["properties"]["code"]
    code["description"] += f" Known codes: {', '.join(f'`{each}`' for each in catalogue())}."
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation_of(endpoint)
    schemas |= event_schemas(schemas)
    for base in (WebhookBody, Answer):  # in the schemas of the events
        del schemas[base.__name__]
    for query in _queries():  # only what their parameters refer to
        del schemas[query.__name__]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payments API",
            "version": API_VERSION,
            "description": INTRODUCTION,
            "license": _LICENSE,
        },
        "servers": [{"url": SERVER, "description": "Where this document is served."}],
        "tags": [{"name": name, "description": said} for name, said in TAGS.items()],
        "paths": paths,
        "webhooks": webhooks(),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "headers": {
                name: {"description": said, "schema": {"type": kind}, "example": example}
                for name, (said, kind, example) in _HEADERS.items()
            },
            "securitySchemes": {"bearer": _BEARER},
        },
    }


def openapi_text() -> str:
    """The document as it is served."""
    return json.dumps(openapi_document(), separators=(",", ":"))


OPENAPI_JSON: Final = PublicText(
    content_type="application/json", content=openapi_text, plain=openapi_text, headers={}
)


def _models() -> Iterator[tuple[type[BaseModel], Mode]]:
    yield Problem, "serialization"
    yield GatewayRefusal, "serialization"
    yield WebhookBody, "serialization"
    for kinds in DATA.values():
        for data in kinds:
            yield data, "serialization"
    for endpoint in ENDPOINTS:
        if endpoint.body is not None:
            yield endpoint.body, "validation"
        if endpoint.form is not None:
            yield endpoint.form, "validation"
        for answer in endpoint.answers.values():
            if answer is not None:
                yield answer, "serialization"
    for query in _queries():
        yield query, "validation"


def _queries() -> set[type[BaseModel]]:
    return {each.query for each in ENDPOINTS if each.query is not None}
