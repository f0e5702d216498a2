"""The gateway's authorizer: every failure is a refusal, which a function then answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from runtime.core.errors import Unauthorized, Unavailable
from runtime.core.observability import logger
from runtime.functions import authorize
from runtime.functions.authorize import authorizer_services
from runtime.http.authorizer_context import context_of, identity_in, refusing_context
from runtime.http.identity import Identity, Refusal
from runtime.settings import ACCESS_REFUSED
from tests.unit.access.test_tokens import REASON_OF, REFUSED, SETTINGS, jwks, signed

REQUEST = {"requestContext": {"requestId": "gateway-1"}}
CONTEXT: Any = None
NOW = time.time()
MISSING = {"isAuthorized": True, "context": {"version": "1", "outcome": "missing"}}
INVALID = {"isAuthorized": True, "context": {"version": "1", "outcome": "invalid"}}
UNDECIDED = {"version": "1", "outcome": "undecided"}


@pytest.fixture(scope="module")
def secret() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as machine, mock_aws():
        made = boto3.client("secretsmanager").create_secret(
            Name="jwks", SecretString=json.dumps(jwks())
        )
        settings = SETTINGS.model_copy(update={"jwks_url": None, "jwks_secret_arn": made["ARN"]})
        for name, value in settings.environment().items():
            machine.setenv(name, value)
        authorizer_services.cache_clear()
        yield made["ARN"]
        authorizer_services.cache_clear()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Message and reason of the authorizer's log lines about requests; keys are logged as well."""
    seen: list[tuple[str, str]] = []

    def note(message: str, **fields: Any) -> None:
        if "reason" in fields:
            seen.append((message, fields["reason"]))

    for level in ("warning", "exception"):
        monkeypatch.setattr(logger, level, note)
    return seen


def ask(authorization: str | None) -> dict[str, Any]:
    headers = {} if authorization is None else {"authorization": authorization}
    return authorize.handler({**REQUEST, "headers": headers}, CONTEXT)


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_a_valid_token_gives_an_identity(scheme: str) -> None:
    exp = int(NOW) + 600
    answer = ask(scheme + signed(exp=exp))
    assert answer == {
        "isAuthorized": True,
        "context": {
            "version": "1",
            "outcome": "verified",
            "sub": "user-1",
            "merchant_id": "mer_1",
            "permissions": "payments reports",
            "expires_at": str(exp + SETTINGS.leeway_seconds),
        },
    }
    said = Identity("user-1", "mer_1", ("payments", "reports"), exp + SETTINGS.leeway_seconds)
    assert identity_in(answer["context"], NOW) == said


@pytest.mark.usefixtures("secret")
def test_an_operators_context_has_no_merchant() -> None:
    assert ask("Bearer " + signed(merchant_id=...))["context"]["merchant_id"] == ""


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("flaw", list(REFUSED))
def test_an_invalid_token_is_refused_and_only_the_log_has_the_reason(
    flaw: str, lines: list[tuple[str, str]]
) -> None:
    assert ask("Bearer " + REFUSED[flaw]()) == (MISSING if flaw == "empty" else INVALID)
    reason = Refusal.MISSING if flaw == "empty" else REASON_OF.get(flaw, Refusal.CLAIMS)
    assert (ACCESS_REFUSED, reason) in lines


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic dXNlcjpwYXNz", "Token x", "é"])
def test_a_credential_that_is_not_a_bearer_token_is_refused(
    header: str | None, lines: list[tuple[str, str]]
) -> None:
    assert ask(header) == MISSING
    assert lines == [(ACCESS_REFUSED, Refusal.MISSING)]


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("event", [{}, {"headers": None}, {"headers": {"authorization": None}}])
def test_an_event_in_another_format_is_refused(event: dict[str, Any]) -> None:
    assert authorize.handler({**REQUEST, **event}, CONTEXT) == MISSING


def test_an_authorizer_without_settings_refuses(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[str, str]]
) -> None:
    authorizer_services.cache_clear()
    monkeypatch.delenv("ISSUER", raising=False)
    answer = ask("Bearer " + signed())
    assert answer["context"] == {**UNDECIDED, "retry_after": "300"}
    assert lines == [(ACCESS_REFUSED, Refusal.FAILURE)]
    authorizer_services.cache_clear()


@pytest.mark.usefixtures("lines")
def test_a_token_that_could_not_be_verified_can_be_retried_after_the_gateways_cache_expires(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWKS_SECRET_ARN", secret + "-gone")
    monkeypatch.setenv("CACHE_SECONDS", "45")
    authorizer_services.cache_clear()
    answer = ask("Bearer " + signed())
    authorizer_services.cache_clear()
    assert answer["context"] == {**UNDECIDED, "retry_after": "45"}
    with pytest.raises(Unavailable) as refused:
        identity_in(answer["context"], NOW)
    assert refused.value.retry_after_seconds == 45


@pytest.mark.parametrize("reason", list(Refusal))
def test_a_refusal_is_not_an_identity(reason: Refusal) -> None:
    with pytest.raises((Unauthorized, Unavailable)):
        identity_in(refusing_context(reason, 60), NOW)


def test_an_identity_that_was_accepted_is_refused_once_its_token_has_expired() -> None:
    context = context_of(Identity("user", "mer_1", ("payments",), int(NOW) + 60))
    accepted = identity_in(context, NOW)
    assert identity_in(dict(context), NOW + 59) is accepted, "checked once"
    with pytest.raises(Unauthorized):
        identity_in(context, NOW + 60)
