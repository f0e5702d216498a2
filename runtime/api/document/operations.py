"""Operations of the document: parameters, request bodies, responses and their examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from runtime.api.document.descriptions import PATH_PARAMETERS
from runtime.api.document.examples import Example, examples_of
from runtime.api.document.notes import ANSWERS, NOTES, REFUSALS
from runtime.api.document.operators import ACTING_FOR, acting_for_note
from runtime.api.document.schemas import parameters_of, reference
from runtime.http.endpoint import Endpoint
from runtime.http.problem import GatewayRefusal, Problem
from runtime.http.shapes import IDENTIFIER, MAX_IDEMPOTENCY_KEY, Query

PROBLEM: Final = "application/problem+json"
JSON: Final = "application/json"
_ALWAYS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_BY_GATEWAY: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""API Gateway answers these itself, too: with a body of its own, which cannot be configured."""
_RETRY_AFTER: Final = frozenset(
    {
        HTTPStatus.CONFLICT,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
_PATH_MEMBER: Final = re.compile(r"{(\w+)}")
FORM: Final = "application/x-www-form-urlencoded"
_TEXT_ANSWERS: Final = {
    "docs": "text/html",
    "errors": "text/html",
    "openapi": JSON,
    "showSandboxAction": "text/html",
    "decideSandboxAction": "text/html",
}
_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, HTTPStatus.SEE_OTHER)


def operation_of(endpoint: Endpoint) -> dict[str, Any]:
    """One operation of the document."""
    examples = examples_of(endpoint.operation)
    described: dict[str, Any] = {
        "operationId": endpoint.operation,
        "summary": endpoint.summary,
        "description": _description(endpoint),
        "tags": [endpoint.tag],
        "parameters": list(_parameters(endpoint, examples)),
        "responses": dict(sorted(_responses(endpoint, examples))),
        "security": [] if endpoint.public else [{"bearer": []}],
    }
    body = _request_body(endpoint, examples)
    if body is not None:
        described["requestBody"] = body
    return described


def _description(endpoint: Endpoint) -> str:
    parts = [NOTES.get(endpoint.operation, "")]
    if endpoint.signed:
        parts.append("For processors alone: their signature is in a header of theirs.")
    elif endpoint.permission is not None:
        parts.append(f"Needs the permission `{endpoint.permission}` (or `admin`).")
    elif not endpoint.public:
        parts.append("Any valid token: operators any resource, merchants only their own.")
    return "\n\n".join(part for part in parts if part)


def _request_body(endpoint: Endpoint, examples: list[Example]) -> dict[str, Any] | None:
    if endpoint.signed:
        content: dict[str, Any] = {"schema": {"type": "object"}}
        said = "The notification, exactly as the processor signed it."
    elif endpoint.form is not None:
        form = {FORM: {"schema": reference(endpoint.form)}}
        return {"required": True, "description": "The page's form.", "content": form}
    elif endpoint.body is not None:
        content = {"schema": reference(endpoint.body)}
        said = "A JSON object; it may be empty." if endpoint.body_optional else "A JSON object."
    else:
        return None
    shown = {
        each.key: {"summary": each.title, "value": each.body}
        for each in examples
        if each.body is not None and not each.is_malformed
    }
    if shown:
        content["examples"] = shown
    return {"required": True, "description": said, "content": {JSON: content}}


def _parameters(endpoint: Endpoint, examples: list[Example]) -> Iterator[dict[str, Any]]:
    first = examples[0] if examples else None
    for name in _PATH_MEMBER.findall(endpoint.path):
        parameter: dict[str, Any] = {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS.get(name, ""),
            "schema": {"type": "string", "pattern": IDENTIFIER},
        }
        if first is not None and name in first.path:
            parameter["example"] = first.path[name]
        yield parameter
    if endpoint.idempotent == "required":
        yield _idempotency_key("Required here, or as `idempotency_key` in the body.")
    elif endpoint.idempotent == "honoured":
        yield _idempotency_key("Optional.")
    if endpoint.query is not None:
        acting_for = acting_for_note(endpoint.operation)
        for given in _query_parameters(endpoint.query, {} if first is None else first.query):
            if given["name"] == ACTING_FOR and acting_for is not None:
                given["description"] = acting_for
            yield given
    elif not endpoint.public:
        yield from _query_parameters(Query, {})


def _query_parameters(
    query: type[BaseModel], example: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for name, (schema, required) in parameters_of(query).items():
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": required}
        parameter["description"] = schema.pop("description", "")
        parameter["schema"] = schema
        if name in example:
            parameter["example"] = _as_typed(example[name], schema)
        yield parameter


def _as_typed(value: str, schema: Mapping[str, Any]) -> str | int:
    kinds = {each.get("type") for each in (schema, *schema.get("anyOf", ()))}
    return int(value) if "integer" in kinds else value


def _idempotency_key(need: str) -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": f"{need} A repetition with the same key and the same body within 24 hours "
        "gets the first answer again, with the header `Idempotent-Replayed: true`, and nothing is "
        "done twice. With another body it is refused (422 `idempotency_key_reused`).",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY},
    }


def _responses(endpoint: Endpoint, examples: list[Example]) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, model in endpoint.answers.items():
        said = ANSWERS.get((endpoint.operation, int(status)), status.phrase)
        repeatable = endpoint.idempotent != "no"
        headers = _headers(status, repeatable=repeatable)
        response: dict[str, Any] = {"description": said, "headers": headers}
        if status not in _BODILESS:
            kind = JSON if model is not None else _TEXT_ANSWERS[endpoint.operation]
            content: dict[str, Any] = {"schema": {} if model is None else reference(model)}
            response["content"] = {kind: content | _shown(examples, status)}
        yield str(int(status)), response
    for status in _refusals(endpoint):
        yield str(int(status)), _refusal(status, _shown(examples, status))


def _refusal(status: HTTPStatus, shown: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {PROBLEM: {"schema": reference(Problem), **shown}}
    if status in _BY_GATEWAY:
        content[JSON] = {"schema": reference(GatewayRefusal)}
    described = {"description": REFUSALS[int(status)], "content": content}
    headers = _headers(status)
    return {**described, "headers": headers} if headers else described


def _shown(examples: list[Example], status: HTTPStatus) -> dict[str, Any]:
    shown = {
        each.key: {"summary": each.title, "value": each.answer}
        for each in examples
        if each.status == status and each.answer is not None
    }
    return {"examples": shown} if shown else {}


def _headers(status: HTTPStatus, *, repeatable: bool = False) -> dict[str, Any]:
    names = []
    if status < HTTPStatus.BAD_REQUEST:
        names.append("x-request-id")
    if status in _RETRY_AFTER:
        names.append("Retry-After")
    if status is HTTPStatus.UNAUTHORIZED:
        names.append("WWW-Authenticate")
    if repeatable:
        names.append("Idempotent-Replayed")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refusals(endpoint: Endpoint) -> list[HTTPStatus]:
    refusals = {*_ALWAYS, *endpoint.refusals}
    if not endpoint.public:
        refusals |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        refusals |= {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND}
    if endpoint.body is not None:
        refusals |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    if endpoint.idempotent != "no":
        refusals.add(HTTPStatus.CONFLICT)
    return sorted(refusals)
