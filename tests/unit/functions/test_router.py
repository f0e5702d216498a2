"""Which endpoint serves a method and a path."""

from __future__ import annotations

import re

import pytest

from runtime.api.endpoints import ENDPOINTS
from runtime.functions.http.router import Router
from runtime.http.endpoint import Endpoint, Method

ROUTER = Router(ENDPOINTS)


def at(path: str, method: Method = "GET") -> Endpoint:
    return Endpoint(
        operation=path, method=method, path=path, function="query", summary="", tag="", answers={}
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_each_endpoint_is_found_with_its_path_parameters(endpoint: Endpoint) -> None:
    path = re.sub(r"{(\w+)}", r"a-\1", endpoint.path)
    match = ROUTER.match(endpoint.method, path)
    assert match is not None
    assert match.endpoint is endpoint
    assert endpoint.path.format_map(match.members) == path


def test_a_literal_segment_is_preferred_to_a_parameter() -> None:
    router = Router([at("/v1/{id}/summary"), at("/v1/payments/{id}"), at("/v1/payments/summary")])
    found = [router.match("GET", path) for path in ("/v1/payments/summary", "/v1/payments/x")]
    assert [match and match.endpoint.path for match in found] == [
        "/v1/payments/summary",
        "/v1/payments/{id}",
    ]
    other = router.match("GET", "/v1/refunds/summary")
    assert other is not None
    assert (other.endpoint.path, other.members) == ("/v1/{id}/summary", {"id": "refunds"})


def test_a_literal_path_of_another_method_leaves_the_request_to_the_parameter() -> None:
    router = Router([at("/v1/payments/summary"), at("/v1/payments/{id}", "PATCH")])
    match = router.match("PATCH", "/v1/payments/summary")
    assert match is not None
    assert match.members == {"id": "summary"}
    assert set(router.methods_at("/v1/payments/summary")) == {"GET", "PATCH"}
    assert router.methods_at("/v1/payments/other") == ("PATCH",)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1", "/v1/payments/", "/v1//payments", "/v1/payments/x/", "/v1/payments//refund"],
)
def test_an_empty_segment_is_not_a_parameter(path: str) -> None:
    assert ROUTER.match("GET", path) is None
    assert ROUTER.match("POST", path) is None
    assert ROUTER.methods_at(path) == ()


def test_methods_are_upper_case() -> None:
    assert ROUTER.match("get", "/v1/payments") is None
    assert ROUTER.methods_at("/v1/payments") == ("POST", "GET")
