"""Permissions are checked before the request, and one path is one scope of an idempotency key."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.api.endpoints import ENDPOINTS
from runtime.core.errors import PlatformError
from runtime.http.endpoint import Endpoint
from runtime.http.request_context import Call
from tests.support.http import OPERATOR, http_event, request_of, token_of

BY_NAME = {endpoint.operation: endpoint for endpoint in ENDPOINTS}
PAY, LIST, OPEN = (BY_NAME[n] for n in ("createPayment", "listPayments", "createAccount"))
GOOD = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
WITHOUT_MERCHANT = token_of("", "payments accounts")


def judged(endpoint: Endpoint, path: str = "", **more: Any) -> Call:
    event = http_event(
        endpoint.method,
        path or endpoint.path,
        **{"authorizer": token_of("mer_1"), "headers": {"idempotency-key": "k"}, **more},
    )
    return request_of(endpoint, event, {"id": "x"}).authenticated


def refusal(endpoint: Endpoint, **more: Any) -> tuple[int, str]:
    with pytest.raises(PlatformError) as refused:
        judged(endpoint, **more)
    return int(refused.value.status), refused.value.code


@pytest.mark.parametrize("sent", [{"raw": "{"}, {"body": {**GOOD, "amount": -1}}, {"body": GOOD}])
def test_a_token_without_a_merchant_is_refused_whatever_it_sends(sent: dict[str, Any]) -> None:
    assert refusal(PAY, authorizer=WITHOUT_MERCHANT, **sent) == (403, "forbidden")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("account_type", "system"),
        ("account_type", "merchant"),
        ("credit_limit", 1),
        ("posting", "folded"),
        ("merchant_id", "mer_2"),
    ],
)
def test_an_operator_only_field_is_refused_before_an_invalid_value(member: str, value: Any) -> None:
    body = {"account_type": "wallet", "currency": "x", member: value}
    assert refusal(OPEN, body=body) == (403, "forbidden")
    assert refusal(OPEN, body=body, authorizer=OPERATOR) == (422, "invalid_value")


def test_a_card_number_is_refused_in_a_header_and_in_a_query() -> None:
    header = {"headers": {"idempotency-key": "4242424242424242"}}
    assert refusal(PAY, body=GOOD, **header) == (422, "card_data_refused")
    query = {"query": "customer_id=4242424242424242"}
    assert refusal(LIST, **query) == (422, "card_data_refused")


def test_two_spellings_of_a_path_are_one_path() -> None:
    plain, odd = judged(PAY, body=GOOD), judged(PAY, "/v1/payments\n", body=GOOD)
    assert (odd.path, odd.fingerprint) == (plain.path, plain.fingerprint)


@pytest.mark.parametrize(
    "flaw",
    [
        {"cvv": "123"},
        {"colour": "4242 4242 4242 4242"},
        {"colour": "red", "description": "4242424242424242"},
        {"amount": -1, "metadata": {"4242424242424242": "x"}},
    ],
)
def test_card_data_takes_precedence_over_other_errors_of_the_body(
    flaw: dict[str, Any],
) -> None:
    assert refusal(PAY, body={**GOOD, **flaw}) == (422, "card_data_refused")


def test_a_card_number_in_a_user_agent_is_not_stored() -> None:
    event = http_event("GET", LIST.path, authorizer=token_of("mer_1"))
    event["requestContext"]["http"]["userAgent"] = "shop 4242 4242 4242 4242"
    request = request_of(LIST, event, {})
    assert request.authenticated.caller.user_agent == "…"
