"""The canary's merchant, account, key and secret: made once, and the key replaced after that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.api_client import Reply
from local.errors import LocalError
from operations.canary_merchant import CanaryTarget, has_canary, set_up_canary
from runtime.settings import canary_secret_name

URL = "https://api.example"


class Operator:
    """The API for an operator: what was made, and which keys are revoked."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.revoked: list[str] = []
        self.status = 201

    def post(self, path: str, body: Any, key: str | None = None) -> Reply:
        if path.endswith("/revoke"):
            self.revoked.append(path.split("/")[3])
            return Reply(200, {}, "{}")
        self.made.append((path, body))
        number = len(self.made)
        kind = {"/v1/merchants": "mer", "/v1/accounts": "acc", "/v1/api-keys": "key"}[path]
        document = {"id": f"{kind}_{number}", "secret": f"sk_{number}"}
        return Reply(self.status, {}, json.dumps(document))


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.client("secretsmanager")


def _target(secrets: Any, operator: Operator, *, live: bool = False) -> CanaryTarget:
    return CanaryTarget("staging", live, URL, operator, secrets)  # type: ignore[arg-type]


def _secret(secrets: Any) -> dict[str, str]:
    text = secrets.get_secret_value(SecretId=canary_secret_name("staging"))["SecretString"]
    found: dict[str, str] = json.loads(text)
    return found


def test_everything_that_the_canary_needs_is_made_once(secrets: Any) -> None:
    operator = Operator()
    target = _target(secrets, operator)
    assert not has_canary(target)
    made = set_up_canary(target)
    assert [path for path, _ in operator.made] == ["/v1/merchants", "/v1/accounts", "/v1/api-keys"]
    limits = operator.made[0][1]["rate_limits"]
    assert limits == {"max_payment_amount": 1, "payments_per_day": 300}
    assert operator.made[2][1]["permissions"] == ["accounts", "payments", "refunds"]
    assert _secret(secrets) == {
        "api_url": URL,
        "merchant_id": "mer_1",
        "account_id": "acc_2",
        "api_key": "sk_3",
        "api_key_id": "key_3",
    }
    assert "sk_3" not in repr(made)
    assert has_canary(target)


def test_a_second_call_replaces_the_key_and_then_revokes_the_old_one(secrets: Any) -> None:
    operator = Operator()
    set_up_canary(_target(secrets, operator))
    set_up_canary(_target(secrets, operator))
    assert [path for path, _ in operator.made[3:]] == ["/v1/api-keys"]
    assert operator.revoked == ["key_3"]
    assert _secret(secrets)["merchant_id"] == "mer_1"
    assert _secret(secrets)["api_key_id"] == "key_4"


def test_with_live_payments_the_key_can_only_read_and_the_merchant_is_named(secrets: Any) -> None:
    operator = Operator()
    with pytest.raises(LocalError, match="is for live payments"):
        set_up_canary(_target(secrets, operator, live=True))
    assert operator.made == []
    set_up_canary(_target(secrets, operator, live=True), "mer_given")
    assert operator.made[-1][1]["permissions"] == ["accounts", "reports"]
    assert _secret(secrets)["merchant_id"] == "mer_given"


def test_a_key_whose_secret_cannot_be_written_is_revoked(
    secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator()
    target = _target(secrets, operator)

    def refuse(**_: Any) -> None:
        secrets.get_secret_value(SecretId="nothing there")

    monkeypatch.setattr(secrets, "create_secret", refuse)
    with pytest.raises(LocalError, match="could not be written"):
        set_up_canary(target)
    assert operator.revoked == ["key_3"]


def test_a_token_that_is_not_an_operators_is_named_as_the_reason(secrets: Any) -> None:
    operator = Operator()
    operator.status = 403
    with pytest.raises(LocalError, match="may not create a merchant: 403") as refused:
        set_up_canary(_target(secrets, operator))
    assert "PAYMENTS_TOKEN" in str(refused.value.hint)
