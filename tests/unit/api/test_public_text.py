"""Public documents are sent compressed, and not again to a client that has them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from runtime.api.openapi import openapi_document
from runtime.api.public_text import takes_gzip
from runtime.functions import query
from tests.support.http import Context, StubServices, http_event

MOST_BYTES = {
    ("/v1/docs", "gzip"): 550_000,
    ("/v1/docs", ""): 20_000,
    ("/v1/docs/errors", "gzip"): 12_000,
    ("/v1/docs/errors", ""): 40_000,
    ("/v1/openapi.json", "gzip"): 60_000,
    ("/v1/openapi.json", ""): 700_000,
}
"""Size limit of a body on its way to the client; Swagger UI unpacked has 1.9 million bytes."""
ROUTES = ("/v1/docs", "/v1/docs/errors", "/v1/openapi.json")


HANDLER = query.handler_for(StubServices)  # type: ignore[arg-type,return-value]


def ask(path: str, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: dict[str, Any] = HANDLER(http_event("GET", path, headers=named), Context())  # type: ignore[arg-type]
    return answer


def sent(answer: dict[str, Any]) -> bytes:
    """The bytes that API Gateway sends."""
    body: str = answer["body"]
    return base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()


@pytest.mark.parametrize(("path", "coding"), MOST_BYTES)
def test_an_answer_is_small_whatever_the_client_accepts(path: str, coding: str) -> None:
    answer = ask(path, accept_encoding=coding)
    assert answer["statusCode"] == 200
    assert answer["headers"].get("Content-Encoding", "") == coding
    assert len(sent(answer)) <= MOST_BYTES[path, coding]
    assert answer["headers"]["Vary"] == "Accept-Encoding"
    assert answer["headers"]["Cache-Control"] == "public, max-age=3600"


def test_the_compressed_texts_are_the_document_and_its_page() -> None:
    packed = ask("/v1/openapi.json", accept_encoding="gzip")
    assert packed["headers"]["Content-Type"] == "application/json"
    assert json.loads(gzip.decompress(sent(packed))) == openapi_document()
    assert json.loads(sent(ask("/v1/openapi.json"))) == openapi_document()
    page = gzip.decompress(sent(ask("/v1/docs", accept_encoding="gzip, br"))).decode()
    assert "SwaggerUIBundle" in page


def test_a_client_without_gzip_gets_a_list_of_all_operations() -> None:
    page = ask("/v1/docs", accept_encoding="identity")
    assert page["headers"]["Content-Type"].startswith("text/html")
    assert "script" not in page["body"]
    for path, methods in openapi_document()["paths"].items():
        assert path in page["body"]
        assert all(each["operationId"] in page["body"] for each in methods.values())


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_a_cached_text_is_not_sent_again(path: str, coding: str) -> None:
    tag = ask(path, accept_encoding=coding)["headers"]["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = ask(path, accept_encoding=coding, if_none_match=known)
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"]["ETag"] == tag
        assert "Content-Encoding" not in again["headers"]
    assert ask(path, accept_encoding=coding, if_none_match='"other"')["statusCode"] == 200


@pytest.mark.parametrize("path", ROUTES)
def test_the_compressed_and_the_plain_text_have_different_tags(path: str) -> None:
    plain, packed = ask(path), ask(path, accept_encoding="gzip")
    assert plain["headers"]["ETag"] != packed["headers"]["ETag"]


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5, br", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=1.0", True),
        ("*", True),
        ("*;q=0", False),
        ("notgzip", False),
    ],
)
def test_gzip_is_sent_only_to_clients_that_accept_it(accepted: str, packed: bool) -> None:
    assert takes_gzip(accepted) == packed
