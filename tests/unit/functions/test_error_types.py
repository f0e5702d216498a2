"""`type` of a problem is an absolute link: to the API's own page, or to a stage's documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.api.document.error_codes import catalogue, meaning_of
from runtime.api.errors_page import ERRORS_PAGE
from runtime.core.errors import NotFound
from runtime.functions import query
from runtime.functions.http.function import error_types_of_environment
from runtime.http.responses import ERROR_TYPES, StoredAnswer, problem
from tests.support.http import Context, Functions, StubServices, http_event, token_of
from tests.support.stages.moto_stage import functions_on_moto

AT = {"domainName": "pay.example.com"}


@pytest.fixture(scope="module")
def api() -> Iterator[Functions]:
    with functions_on_moto() as made:
        yield made


def ask(path: str, error_types: str | None = None, **context: Any) -> Any:
    """The problem document that the function of GET answers."""
    handler = query.handler_for(
        StubServices,  # type: ignore[arg-type]
        error_types=None if error_types is None else lambda: error_types,
    )
    event = http_event("GET", path)
    event["requestContext"] |= {**AT, **context}
    return json.loads(handler(event, Context())["body"])  # type: ignore[arg-type]


def test_a_refusal_links_to_its_code_on_the_page_of_the_api() -> None:
    refused = ask("/v1/payments")
    assert refused["code"] == "unauthorized"
    assert refused["type"] == "https://pay.example.com/v1/docs/errors#unauthorized"


def test_a_stage_may_have_its_own_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERROR_TYPES", "https://docs.example.com/errors#")
    refused = ask("/v1/payments", error_types_of_environment())
    assert refused["type"] == "https://docs.example.com/errors#unauthorized"
    monkeypatch.delenv("ERROR_TYPES")
    assert error_types_of_environment() == ERROR_TYPES


def test_the_host_that_a_client_names_is_not_in_the_link() -> None:
    event = http_event("GET", "/v1/payments", headers={"host": "evil.example"})
    event["requestContext"] |= AT
    handler = query.handler_for(StubServices)  # type: ignore[arg-type]
    body = handler(event, Context())["body"]  # type: ignore[arg-type]
    assert "evil" not in body


def test_a_stored_problem_is_completed_when_it_is_sent() -> None:
    stored = problem(NotFound("gone"), instance="/v1/payments/pay_1", request_id="req_1")
    assert json.loads(stored.body)["type"] == "/v1/docs/errors#not_found"
    for types in ("https://old.example/v1/docs/errors#", "https://docs.example/e/"):
        sent = json.loads(stored.again().sent(types).body)
        assert sent == {**json.loads(stored.body), "type": f"{types}not_found"}


def test_nothing_else_is_changed() -> None:
    """A merchant's own data may look like a problem."""
    for status, body in (
        (200, '{"type":"/v1/docs/errors#not_found"}'),
        (404, '{"detail":"{\\"type\\":\\"/v1/docs/errors#not_found\\"}"}'),
        (404, '{"type":"https://elsewhere.example/not_found"}'),
    ):
        assert StoredAnswer(status, body).sent("https://a.example/") == StoredAnswer(status, body)


def test_a_repeated_decline_has_the_link_of_the_first_answer(api: Functions) -> None:
    made = api("POST", "/v1/merchants", {"name": "Shop", "email": "shop@example.com"})
    body = {"amount": 1000, "currency": "USD", "payment_method": "tok_declined"}
    who, key = token_of(made.body["id"]), {"idempotency-key": "declined"}
    first, again = (
        api("POST", "/v1/payments", body, headers=key, authorizer=who) for _ in range(2)
    )
    assert first.status == 402
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.body["type"].startswith("https://")
    assert first.text == again.text


@pytest.mark.parametrize("code", catalogue())
def test_the_page_has_what_the_tree_of_errors_says_about_each_code(code: str) -> None:
    page = ERRORS_PAGE.answer({}).body
    _, _, section = page.partition(f'<h2 id="{code}">')
    section = section.partition("<h2")[0]
    error = catalogue()[code]
    for said in (error.title, meaning_of(error), error.advice):
        first = said.split("`")[0].split("'")[0].split("<")[0].split("&")[0]
        assert first in section
    assert f"<b>{int(error.status)}</b>" in section
