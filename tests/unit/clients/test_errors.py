"""Every refused answer becomes a typed error, whatever its body is."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payments_client import errors

PROBLEM = {
    "type": "https://api.example.com/v1/docs/errors#invalid_value",
    "title": "A value is not valid",
    "status": 422,
    "detail": "amount is in minor units",
    "instance": "/v1/payments",
    "code": "invalid_value",
    "param": "amount",
    "request_id": "req_1",
    "errors": [{"param": "amount", "detail": "a"}, {"param": "currency", "detail": "b"}],
}


def error_of(status: int, body: object, **headers: str) -> errors.ApiError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return errors.error_of(status, named, content)


def test_a_problem_document_becomes_the_attributes_of_the_error() -> None:
    error = error_of(422, PROBLEM)
    assert type(error) is errors.InvalidRequest
    assert (error.status, error.code, error.param) == (422, "invalid_value", "amount")
    assert (error.request_id, error.title) == ("req_1", "A value is not valid")
    assert error.errors == (
        errors.InvalidField("amount", "a"),
        errors.InvalidField("currency", "b"),
    )
    assert error.body == ""
    assert str(error) == (
        "422 invalid_value: amount is in minor units · param amount · request req_1"
    )


def test_a_decline_names_its_reason_and_its_payment() -> None:
    more = {"decline_code": "expired_card", "payment_id": "pay_1", "retriable": False}
    error = error_of(402, {**PROBLEM, "code": "declined", **more})
    assert isinstance(error, errors.Declined)
    assert (error.decline_code, error.payment_id) == ("expired_card", "pay_1")
    assert error.retriable is False


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDenied),
        (404, errors.NotFound),
        (405, errors.InvalidRequest),
        (409, errors.Conflict),
        (423, errors.ResourceLocked),
        (429, errors.RateLimited),
        (500, errors.ServerError),
        (504, errors.ServerError),
        (302, errors.ApiError),
        (418, errors.ApiError),
        (599, errors.ServerError),
    ],
)
def test_each_status_has_its_type(status: int, kind: type[errors.ApiError]) -> None:
    assert type(error_of(status, PROBLEM)) is kind
    assert type(error_of(status, b"<html>")) is kind


@pytest.mark.parametrize(
    "body", [b'{"message":"Unauthorized"}', b"", b"<html>", b"[1]", b"null", b'{"code":7}', b"\xff"]
)
def test_an_expired_token_is_an_authentication_error_whatever_the_body(body: bytes) -> None:
    error = error_of(401, body, apigw_requestid="gw_1")
    assert type(error) is errors.AuthenticationError
    assert (error.code, error.request_id) == ("unauthorized", "gw_1")
    assert error.body == body.decode("utf-8", "replace")


def test_other_bodies_are_shortened() -> None:
    error = error_of(502, b"x" * 10_000)
    assert (error.code, len(error.body)) == ("http_502", errors.MAX_BODY_CHARACTERS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(PROBLEM)), inner),
)


@given(status=st.integers(300, 599), body=JSON.map(json.dumps).map(str.encode) | st.binary())
def test_no_body_can_break_the_error(status: int, body: bytes) -> None:
    error = error_of(status, body)
    assert isinstance(error.code, str)
    assert str(error)


def test_deeply_nested_json_is_only_a_body() -> None:
    assert error_of(500, b"[" * 100_000).code == "http_500"
