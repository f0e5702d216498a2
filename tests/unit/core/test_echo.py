"""Input is repeated by one rule, in answers and logs, on every route."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

import pytest
from pydantic import BaseModel, ValidationError

from runtime.api.endpoints import ENDPOINTS
from runtime.core.echo import MAX_ECHOED, echoed, echoed_path, safe
from runtime.core.errors import NotFound
from runtime.core.observability import logger
from runtime.dynamodb.schema import Row
from runtime.http.endpoint import Endpoint
from runtime.http.shapes import Answer, Body, Query
from tests.support.http import (
    OPERATOR,
    Functions,
    http_event,
)
from tests.support.stages.moto_stage import functions_on_moto

CARD = "4539148803436467"
LONG = "toolong" + "q" * MAX_ECHOED
SECRET = "hush0secret"
"""Short enough to be repeated in a field that is not secret."""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        ("pay_01KKNS5TM27YDJ43Y2ZGZA8BEN", "pay_01KKNS5TM27YDJ43Y2ZGZA8BEN"),
        ("x" * MAX_ECHOED, "x" * MAX_ECHOED),
        ("x" * (MAX_ECHOED + 1), "…"),
        (CARD, "…"),
        ("4539 1488 0343 6467", "…"),
        ("\uff14539148803436467", "…"),
    ],
)
def test_a_value_is_repeated_if_it_is_short_and_not_a_card_number(value: str, shown: str) -> None:
    assert echoed(value) == shown


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/payments/pay_01KKNS5TM27YDJ43Y2ZGZA8BEN/capture",) * 2,
        (f"/v1/payments/{CARD}", "/…"),
        ("/v1/4539/1488/0343/6467", "/…"),
        ("/v1/%34539148803436467", "/…"),
        (f"/v1/{LONG}/x", "/v1/…/x"),
        ("/a" * 20, "/a" * 8 + "/…"),
        ("", ""),
    ],
)
def test_a_path_is_repeated_segment_by_segment(path: str, shown: str) -> None:
    assert echoed_path(path) == shown


def test_a_message_that_contains_a_card_number_is_hidden() -> None:
    assert safe(f"No such account: {CARD}") == "…"
    error = NotFound(f"No such account: {CARD}")
    assert (error.detail, str(error)) == ("…", "…")


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in base.__subclasses__():
        yield each
        yield from _models(each)


def test_validation_errors_do_not_contain_the_input() -> None:
    secret_bearing = [
        model
        for model in _models(BaseModel)
        if model.__module__.startswith("runtime.")
        and any(not field.repr for field in model.model_fields.values())
    ]
    assert len(secret_bearing) > 10
    for model in {*secret_bearing, *_models(Body), *_models(Query), *_models(Answer)}:
        reported = f"{model.__qualname__} needs hide_input_in_errors=True: it may hold a secret"
        assert model.model_config.get("hide_input_in_errors"), reported
    with pytest.raises(ValidationError) as refused:
        Row.model_validate(SECRET)
    assert SECRET not in str(refused.value)


# ------------------------------------------------------------ every route


@pytest.fixture(scope="module")
def api() -> Iterator[Functions]:
    with functions_on_moto() as made:
        yield made


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    written = io.StringIO()
    before = logger.registered_handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    logger.registered_handler.setStream(before)  # type: ignore[attr-defined]


_MEMBERS: Final = {
    "id": "x",
    "pm_id": "x",
    "entity_id": "x",
    "processor": "sandbox",
    "account": "x",
    "settlement_id": "x",
    "line": "2",
    "action": "x",
}


def _secret_fields(shape: type[BaseModel] | None) -> set[str]:
    fields = shape.model_fields if shape is not None else {}
    return {"idempotency_key"} | {name for name, field in fields.items() if not field.repr}


def _wherever(mark: str, endpoint: Endpoint, only: set[str] | None) -> Iterator[dict[str, Any]]:
    """Requests with the mark in one place each: a body, a query, a header or a path."""
    key = {"idempotency-key": "k"}
    for shape, place in ((endpoint.body, "body"), (endpoint.query, "query")):
        names = [n for n in shape.model_fields if only is None or n in only] if shape else []
        for name in names:
            if place == "query":
                yield {"query": f"{name}={mark}", "headers": key, "body": {}}
                continue
            for value in (mark, [mark], {mark: mark}, {"deep": [{"er": mark}]}):
                yield {"body": {name: value}, "headers": key}
    yield {"body": {}, "headers": {"idempotency-key": mark}}
    if only is None:
        yield {"body": {mark: mark}, "headers": key}
        yield {"body": {}, "headers": {**key, "content-type": mark}}
        yield {"body": {}, "headers": key, "query": f"{mark}={mark}"}
        yield {"body": {}, "headers": key, "query": f"{mark}=1&{mark}=2"}
        yield {"raw": f'{{"{mark}": {mark}', "headers": key}
        for member in _MEMBERS:
            if f"{{{member}}}" in endpoint.path:
                yield {"body": {}, "headers": key, "members": {**_MEMBERS, member: mark}}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.operation)
def test_no_route_repeats_a_secret(api: Functions, log: io.StringIO, endpoint: Endpoint) -> None:
    for mark in (CARD, LONG):
        _send_all(api, endpoint, mark, None)
    _send_all(api, endpoint, SECRET, _secret_fields(endpoint.body) | _secret_fields(endpoint.query))
    written = log.getvalue()
    assert endpoint.public or "refused" in written, "the log was read"
    assert [mark for mark in (CARD, LONG, SECRET) if mark in written] == []


def _send_all(api: Functions, endpoint: Endpoint, mark: str, only: set[str] | None) -> None:
    for sent in _wherever(mark, endpoint, only):
        path = endpoint.path.format(**sent.pop("members", _MEMBERS))
        if endpoint.method == "GET":
            sent.pop("body", None)
        event = http_event(endpoint.method, path, authorizer=OPERATOR, **sent)
        answer = api.send(endpoint.function, event)
        if answer.status >= 400:
            assert mark not in answer.text, (path, sent, answer.text)
            assert answer.status < 500, answer.text


def test_a_request_without_a_route_is_not_repeated_either(api: Functions, log: io.StringIO) -> None:
    for method, path in (("GET", f"/v1/{CARD}"), ("GET", f"/{LONG}/x"), ("PUT", f"/v1/{LONG}")):
        answer = api.send("query", http_event(method, path, authorizer=OPERATOR))
        assert answer.status in (404, 405)
        assert CARD not in answer.text
        assert LONG not in answer.text
    assert CARD not in log.getvalue()
    assert LONG not in log.getvalue()
