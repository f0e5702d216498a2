"""The caller's identity if API Gateway has verified the JWT: from its claims, all of them text."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.errors import Unauthorized
from runtime.http.caller import Caller
from runtime.http.event import HttpEvent
from runtime.http.gateway_identity import caller_of
from runtime.http.identity import MAX_PERMISSIONS
from tests.support.http import http_event, token_of

NOW = 1_700_000_000.0
GOOD = {
    "sub": "user-1",
    "iss": "https://issuer",
    "aud": "payments",
    "exp": "1700000600",
    "scope": "openid payments reports",
    "merchant_id": "mer_1",
}


def caller(**changes: Any) -> Caller:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return judged({"claims": claims, "scopes": None})


def judged(jwt: Any) -> Caller:
    return caller_of(HttpEvent.of(http_event("GET", "/v1/payments", jwt=jwt)), NOW)


def test_verified_claims_give_the_identity() -> None:
    who = caller()
    assert (who.subject, who.merchant_id, who.is_operator) == ("user-1", "mer_1", False)
    assert who.permissions == {"openid", "payments", "reports"}
    assert (who.ip_address, who.user_agent) == ("192.0.2.1", "tests")


def test_an_operator_has_the_scope_admin_and_no_merchant() -> None:
    assert caller(scope="admin", merchant_id=...).is_operator
    assert not caller(scope="admin").is_operator


def test_a_token_without_a_scope_has_no_permissions() -> None:
    assert caller(scope=...).permissions == frozenset()
    assert caller(scope="").permissions == frozenset()


@pytest.mark.parametrize("exp", ["1700000600", "1.7000006e+09", "1.7000006E9", "1700000600.0"])
def test_an_expiry_is_parsed_in_every_format_of_the_gateway(exp: str) -> None:
    assert caller(exp=exp).subject == "user-1"


@pytest.mark.parametrize(
    "odd",
    [
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"exp": ...},
        {"exp": ""},
        {"exp": "soon"},
        {"exp": "inf"},
        {"exp": "nan"},
        {"exp": "-1"},
        {"exp": 1_700_000_600},
        {"exp": "1700000000"},
        {"exp": "1e9"},
        {"scope": "[payments reports]"},
        {"scope": ["payments"]},
        {"scope": None},
        {"scope": "p " * (MAX_PERMISSIONS + 1)},
        {"merchant_id": ""},
        {"merchant_id": "null"},
        {"merchant_id": None},
        {"merchant_id": "platform"},
        {"merchant_id": "mer_1#2"},
        {"merchant_id": "[mer_1]"},
        {"merchant_id": ["mer_1"]},
        {"merchant_id": "<nil>"},
        {"sub": "x" * 256},
        {"sub": "x" * 2_100},
        {"sub": "user\n1"},
        {"sub": "key:0aZ9bY8cX7dW"},
        {"sub": "system:project"},
        {"scope": "p" * 256},
    ],
    ids=str,
)
def test_invalid_claims_give_no_identity(odd: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        caller(**odd)


@pytest.mark.parametrize("jwt", [{}, {"claims": None}, {"claims": {}}, {"scopes": ["admin"]}])
def test_a_token_without_claims_gives_no_identity(jwt: Any) -> None:
    with pytest.raises(Unauthorized):
        judged(jwt)


def test_an_identity_from_two_authorizers_is_a_configuration_error() -> None:
    event = http_event("GET", "/v1/payments", authorizer=token_of("mer_1"))
    event["requestContext"]["authorizer"]["jwt"] = {"claims": GOOD}
    with pytest.raises(Unauthorized):
        caller_of(HttpEvent.of(event), NOW)
