"""The gateway's authorizer: every failure is a refusal, none is an exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from runtime.domain.identity import Refusal
from runtime.handlers import authorize
from runtime.observability import logger
from runtime.settings import ACCESS_REFUSED
from tests.unit.runtime.test_tokens import REASON_OF, REFUSED, SETTINGS, jwks, signed

CONTEXT: Any = None


@pytest.fixture(scope="module")
def secret() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as machine, mock_aws():
        made = boto3.client("secretsmanager").create_secret(
            Name="jwks", SecretString=json.dumps(jwks())
        )
        settings = SETTINGS.model_copy(update={"jwks_url": None, "jwks_secret_arn": made["ARN"]})
        for name, value in settings.environment().items():
            machine.setenv(name, value)
        authorize._settings.cache_clear()
        authorize._keys.cache_clear()
        yield made["ARN"]
        authorize._settings.cache_clear()
        authorize._keys.cache_clear()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Message and reason of what the authorizer logs."""
    seen: list[tuple[str, str]] = []

    def note(message: str, **fields: Any) -> None:
        seen.append((message, fields["reason"]))

    for level in ("warning", "exception"):
        monkeypatch.setattr(logger, level, note)
    return seen


def ask(authorization: str | None) -> dict[str, Any]:
    headers = {} if authorization is None else {"authorization": authorization}
    return authorize.handler({"headers": headers}, CONTEXT)


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_a_good_token_is_vouched_for(scheme: str) -> None:
    answer = ask(scheme + signed())
    assert answer == {
        "isAuthorized": True,
        "context": {"sub": "user-1", "merchant_id": "mer_1", "permissions": "payments reports"},
    }


@pytest.mark.usefixtures("secret")
def test_an_operators_context_names_no_merchant() -> None:
    assert ask("Bearer " + signed(merchant_id=...))["context"]["merchant_id"] == ""


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("flaw", list(REFUSED))
def test_a_flawed_token_is_refused_without_a_reason_that_only_the_log_knows(
    flaw: str, lines: list[tuple[str, str]]
) -> None:
    assert ask("Bearer " + REFUSED[flaw]()) == {"isAuthorized": False, "context": {}}
    reason = Refusal.MISSING if flaw == "empty" else REASON_OF.get(flaw, Refusal.CLAIMS)
    assert lines == [(ACCESS_REFUSED, reason)]


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic dXNlcjpwYXNz", "Token x", "é"])
def test_what_is_no_bearer_token_is_refused(
    header: str | None, lines: list[tuple[str, str]]
) -> None:
    assert ask(header)["isAuthorized"] is False
    assert lines == [(ACCESS_REFUSED, Refusal.MISSING)]


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("event", [{}, {"headers": None}, {"headers": {"authorization": None}}])
def test_an_event_of_another_shape_is_refused(event: dict[str, Any]) -> None:
    assert authorize.handler(event, CONTEXT)["isAuthorized"] is False


def test_an_authorizer_without_settings_refuses(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[str, str]]
) -> None:
    authorize._settings.cache_clear()
    authorize._keys.cache_clear()
    monkeypatch.delenv("ISSUER", raising=False)
    assert ask("Bearer " + signed())["isAuthorized"] is False
    assert lines == [(ACCESS_REFUSED, Refusal.FAILURE)]
    authorize._settings.cache_clear()
