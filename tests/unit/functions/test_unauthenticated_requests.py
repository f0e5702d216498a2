"""An unauthenticated request is answered 401 by every function, whatever it requests."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.api.endpoints import ENDPOINTS
from runtime.functions import process, query
from runtime.http.authorizer_context import refusing_context
from runtime.http.endpoint import Endpoint
from runtime.http.identity import MAX_PERMISSIONS, Refusal
from tests.support.http import (
    OPERATOR,
    Answered,
    Context,
    Functions,
    StubServices,
    http_event,
    token_of,
)

FUNCTIONS = Functions({"process": process, "query": query})
GOOD = token_of("mer_1", " ".join(["payments", "refunds", "customers", "accounts", "reports"]))
CLAIMS = {"sub": "user", "exp": "9999999999", "scope": "admin"}


def but(good: dict[str, str], **changes: Any) -> dict[str, Any]:
    changed = {**good, **changes}
    return {"lambda": {name: value for name, value in changed.items() if value is not ...}}


UNVERIFIED: dict[str, Any] = {
    "nothing": None,
    "an empty authorizer": {},
    "text": "admin",
    "a list": ["lambda"],
    "an empty context": {"lambda": {}},
    "no context": {"lambda": None},
    "a context of text": {"lambda": "admin"},
    "a context in a list": {"lambda": [dict(OPERATOR)]},
    "what the last version wrote": {
        "lambda": {"sub": "operator", "merchant_id": "", "permissions": "admin"}
    },
    "an unknown version": but(OPERATOR, version="2"),
    "a version of another type": but(OPERATOR, version=1),
    "no version": but(OPERATOR, version=...),
    "no outcome": but(OPERATOR, outcome=...),
    "an unknown outcome": but(OPERATOR, outcome="accepted"),
    "an outcome in capitals": but(OPERATOR, outcome="VERIFIED"),
    "an outcome of another type": but(OPERATOR, outcome=True),
    "no sub": but(OPERATOR, sub=...),
    "an empty sub": but(OPERATOR, sub=""),
    "a sub that is too long": but(OPERATOR, sub="x" * 256),
    "a sub of 2,100 characters": but(OPERATOR, sub="x" * 2_100),
    "a sub of another type": but(OPERATOR, sub=7),
    "no merchant": but(GOOD, merchant_id=...),
    "a null merchant": but(GOOD, merchant_id=None),
    "an odd merchant": but(GOOD, merchant_id="platform"),
    "no permissions": but(OPERATOR, permissions=...),
    "permissions in a list": but(OPERATOR, permissions=["admin"]),
    "too many permissions": but(OPERATOR, permissions="admin " * (MAX_PERMISSIONS + 1)),
    "no end": but(OPERATOR, expires_at=...),
    "an empty end": but(OPERATOR, expires_at=""),
    "an odd end": but(OPERATOR, expires_at="-1"),
    "an end in words": but(OPERATOR, expires_at="never"),
    "an end that is over": but(OPERATOR, expires_at="1700000000"),
    "an API key without a merchant": but(OPERATOR, sub="key:x", expires_at=""),
    "half an identity, refused": but(OPERATOR, outcome="invalid"),
    "claims of nothing": {"jwt": {"claims": {}}},
    "a token of text": {"jwt": "admin"},
    "claims of text": {"jwt": {"claims": "admin"}},
    "claims without a sub": {"jwt": {"claims": {**CLAIMS, "sub": ""}}},
    "claims that are over": {"jwt": {"claims": {**CLAIMS, "exp": "1700000000"}}},
    "claims of a null merchant": {"jwt": {"claims": {**CLAIMS, "merchant_id": None}}},
    "both authorizers": {"lambda": dict(OPERATOR), "jwt": {"claims": CLAIMS}},
    **{
        f"refused: {reason}": {"lambda": dict(refusing_context(reason, 60))}
        for reason in Refusal
        if reason not in (Refusal.KEYS_UNREADABLE, Refusal.FAILURE)
    },
}
PROTECTED = [endpoint for endpoint in ENDPOINTS if not endpoint.public]
ELSEWHERE = [
    ("GET", "/v1/nothing"),
    ("GET", "/"),
    ("GET", "/v1/health/"),
    ("GET", "/v1/health/../payments"),
    ("GET", "/v1//health"),
    ("GET", "/V1/HEALTH"),
    ("POST", "/v1/health"),
    ("DELETE", "/v1/payments"),
    ("PUT", "/v1/payments/x"),
    ("OPTIONS", "/v1/payments"),
    ("GET", "/v1/processor-events/stripe"),
    ("POST", "/v1/processor-events/stripe/x"),
    ("POST", "/v1/processor-events/"),
]


def asked(function: str, method: str, path: str, authorizer: Any, **more: Any) -> Answered:
    event = http_event(method, path, **more)
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer
    return FUNCTIONS.send(function, event)


def must_be_refused(answer: Answered, path: str) -> None:
    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="payments"')
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-Id"] == answer.body["request_id"]
    assert (answer.body["code"], answer.body["status"]) == ("unauthorized", 401)
    assert answer.body["instance"] == path
    assert answer.body["type"].endswith("#unauthorized")


@pytest.mark.parametrize("authorizer", list(UNVERIFIED))
def test_every_route_of_every_function_answers_401(authorizer: str) -> None:
    """These functions have no services: anything before the refusal would fail."""
    for endpoint in PROTECTED:
        path = endpoint.path.replace("{id}", "x_1").replace("{pm_id}", "pm_1")
        answer = asked(endpoint.function, endpoint.method, path, UNVERIFIED[authorizer], raw="{")
        must_be_refused(answer, path)


@pytest.mark.parametrize(("method", "path"), ELSEWHERE)
@pytest.mark.parametrize("authorizer", ["nothing", "refused: expired", "no version"])
@pytest.mark.parametrize("function", ["process", "query"])
def test_an_unknown_route_answers_401_too(
    function: str, authorizer: str, method: str, path: str
) -> None:
    must_be_refused(asked(function, method, path, UNVERIFIED[authorizer]), path)


@pytest.mark.parametrize("endpoint", PROTECTED, ids=lambda endpoint: endpoint.operation)
def test_a_credential_that_could_not_be_verified_may_be_sent_again(endpoint: Endpoint) -> None:
    context = {"lambda": dict(refusing_context(Refusal.KEYS_UNREADABLE, 60))}
    path = endpoint.path.replace("{id}", "x_1")
    answer = asked(endpoint.function, endpoint.method, path, context)
    assert (answer.status, answer.body["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "60"
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("retry_after", [..., None, "", "0", "-1", "1e3", "soon", 60, "1000"])
def test_an_invalid_retry_after_is_replaced_by_a_short_one(retry_after: Any) -> None:
    context = but({"version": "1", "outcome": "undecided"}, retry_after=retry_after)
    answer = asked("query", "GET", "/v1/payments", context)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_the_challenge_has_an_error_only_if_a_credential_was_sent() -> None:
    def challenge(authorizer: Any) -> str:
        answer = asked("query", "GET", "/v1/payments", authorizer)
        return answer.headers["WWW-Authenticate"]

    assert challenge(None) == 'Bearer realm="payments"'
    assert challenge(UNVERIFIED["refused: missing"]) == 'Bearer realm="payments"'
    invalid = 'Bearer realm="payments", error="invalid_token"'
    assert challenge(UNVERIFIED["refused: expired"]) == invalid
    assert challenge(UNVERIFIED["refused: signature"]) == invalid


def test_the_reason_of_a_refused_credential_is_not_revealed() -> None:
    reported = set()
    for reason in Refusal:
        context = {"lambda": dict(refusing_context(reason, 60))}
        body = asked("query", "GET", "/v1/payments", context).body
        body.pop("request_id")
        reported.add(str(body))
    assert len(reported) == 3, "sent nothing; not valid; could not be checked"


@pytest.mark.parametrize("authorizer", ["nothing", "refused: expired", "text"])
def test_public_routes_are_served_without_an_identity(authorizer: str) -> None:
    services = StubServices()
    handlers = {
        name: module.handler_for(lambda: services) for name, module in FUNCTIONS.modules.items()
    }
    served = [endpoint for endpoint in ENDPOINTS if endpoint.public]
    for endpoint in served:
        path = endpoint.path.replace("{processor}", "sandbox")
        event = http_event(endpoint.method, path, raw="{}")
        if UNVERIFIED[authorizer] is not None:
            event["requestContext"]["authorizer"] = UNVERIFIED[authorizer]
        answer = handlers[endpoint.function](event, Context())
        assert "WWW-Authenticate" not in answer["headers"], endpoint.operation
    assert services.begun == len(served)


def test_an_api_keys_identity_has_no_expiry() -> None:
    """It reaches the router: an unknown path is a 404."""
    key = but(GOOD, sub="key:0aZ9bY8cX7dW", expires_at="")
    event = http_event("GET", "/v1/nothing")
    event["requestContext"]["authorizer"] = key
    handler = query.handler_for(StubServices)  # type: ignore[arg-type,return-value]
    assert handler(event, Context())["statusCode"] == 404  # type: ignore[arg-type]
