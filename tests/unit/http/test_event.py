"""What the functions read of an HTTP event."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runtime.http.event import HttpEvent
from tests.support.http import http_event, token_of


def event(**changes: Any) -> dict[str, Any]:
    made = http_event("POST", "/v1/payments", {"amount": 1}, authorizer=token_of("mer_1"))
    return {**made, **changes}


def test_the_parts_of_an_event() -> None:
    given = event(headers={"X-Shop": "7"}, rawQueryString="a=1&a=2", routeKey="POST /v1/payments")
    given["queryStringParameters"] = {"a": "1,2"}
    read = HttpEvent.of(given)
    assert (read.method, read.path, read.route_key) == ("POST", "/v1/payments", "POST /v1/payments")
    assert read.headers == {"x-shop": "7"}
    assert (read.query, read.raw_query) == ({"a": "1,2"}, "a=1&a=2")
    assert (read.source_ip, read.user_agent) == ("192.0.2.1", "tests")
    assert read.request_id == f"req_{given['requestContext']['requestId']}"
    assert read.authorizer == given["requestContext"]["authorizer"]
    assert read.body == b'{"amount": 1}'


def test_absent_parts_are_empty() -> None:
    absent = ("headers", "queryStringParameters", "rawQueryString", "body", "isBase64Encoded")
    read = HttpEvent.of({name: value for name, value in event().items() if name not in absent})
    assert (read.headers, read.query, read.raw_query, read.body) == ({}, {}, "", b"")
    assert not read.is_base64


@pytest.mark.parametrize(
    ("stage", "path"), [("$default", "/live/v1/payments"), ("live", "/v1/payments")]
)
def test_a_named_stage_is_not_part_of_the_path(stage: str, path: str) -> None:
    given = event(rawPath="/live/v1/payments")
    given["requestContext"]["stage"] = stage
    assert HttpEvent.of(given).path == path


@pytest.mark.parametrize(
    ("body", "is_base64"),
    [("\ud800", False), (base64.b64encode(b"\xff").decode(), True), ("{}x", True)],
)
def test_a_body_that_is_not_utf_8_is_an_error(body: str, is_base64: bool) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        _ = HttpEvent.of(event(body=body, isBase64Encoded=is_base64)).body


def test_bytes_come_in_base64() -> None:
    coded = base64.b64encode("größer".encode()).decode()
    assert HttpEvent.of(event(body=coded, isBase64Encoded=True)).body == "größer".encode()
