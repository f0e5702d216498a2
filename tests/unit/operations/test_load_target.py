"""What a load test runs against, and what it refuses to run against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.api_client import ApiClient
from local.errors import LocalError
from local.workspace import PROJECT_ROOT, Workspace
from operations.cli import main
from operations.load.target import (
    OPENING_BALANCE,
    Wanted,
    prepare,
    release,
    require_permission_to_move_money,
)
from operations.upload_settlement import TOKEN_VARIABLE

WORKSPACE = Workspace(PROJECT_ROOT, PROJECT_ROOT / ".local")


class Stage:
    """Answers to the requests of the set-up, as an operator's token gets them."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        """By the last part of the path: what to answer instead."""
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2].replace("-", "_")
        body = json.loads(request.content) if request.content else {}
        self.seen.append((request.url.path, body))
        if name in self.statuses:
            return httpx.Response(self.statuses[name], json={"detail": "As planned."})
        reads = request.method == "GET" or name == "revoke"
        made = {"id": f"{name}_{len(self.seen)}", "secret": "sk_secret"}
        return httpx.Response(200 if reads else 201, json=made)

    def client(self) -> ApiClient:
        client = ApiClient("http://api.invalid", "token")
        client._http = httpx.Client(
            base_url="http://api.invalid", transport=httpx.MockTransport(self)
        )
        return client


def test_an_operators_token_makes_a_merchant_an_api_key_and_funded_accounts() -> None:
    stage = Stage()
    client = stage.client()
    target = prepare(client, Wanted(), wallets=3)
    assert target.bearer == "sk_secret"
    assert target.is_own_merchant
    assert target.merchant_id == "merchants_1"
    assert list(target.wallets.values()) == [OPENING_BALANCE] * 3
    bodies = [body for path, body in stage.seen if path == "/v1/accounts"]
    assert {body["merchant_id"] for body in bodies} == {"merchants_1"}
    assert "sk_secret" not in repr(target)
    release(client, target)
    assert stage.seen[-1][0] == f"/v1/api-keys/{target.api_key_id}/revoke"


def test_an_operators_token_can_act_for_a_merchant_that_exists() -> None:
    stage = Stage()
    target = prepare(stage.client(), Wanted(merchant="mer_9", payment_method="pm_card_visa"), 2)
    assert (target.merchant_id, target.is_own_merchant) == ("mer_9", False)
    assert not target.is_sandbox
    assert "/v1/merchants" not in [path for path, _ in stage.seen]


def test_a_merchants_token_is_used_as_it_is_and_makes_nothing() -> None:
    stage = Stage(merchants=403)
    client = stage.client()
    target = prepare(client, Wanted(), wallets=3)
    assert (target.bearer, target.wallets, target.is_own_merchant) == ("token", {}, False)
    asked = len(stage.seen)
    release(client, target)
    assert len(stage.seen) == asked


@pytest.mark.parametrize(
    ("stage", "wanted", "message"),
    [
        (Stage(merchants=401), Wanted(), "The token may not create a merchant: 401 As planned"),
        (Stage(merchants=422), Wanted(), "created no merchant: As planned"),
        (Stage(merchants=403, summary=403), Wanted(), "may not read /v1/payments/summary: 403"),
        (Stage(api_keys=404), Wanted(merchant="mer_0"), "create an API key of mer_0"),
        (Stage(accounts=500), Wanted(), "answered 500 instead of 201"),
    ],
)
def test_a_refusal_is_one_message_that_says_what_was_refused(
    stage: Stage, wanted: Wanted, message: str
) -> None:
    with pytest.raises(LocalError) as failed:
        prepare(stage.client(), wanted, wallets=2)
    assert message in failed.value.message


@pytest.mark.parametrize("stage", ["prod", "another"])
def test_a_stage_that_moves_real_money_needs_a_flag(stage: str) -> None:
    with pytest.raises(LocalError, match="would move real money") as failed:
        require_permission_to_move_money(Wanted(stage=stage), WORKSPACE)
    assert "--moves-real-money" in failed.value.hint
    require_permission_to_move_money(Wanted(stage=stage, moves_real_money=True), WORKSPACE)


@pytest.mark.parametrize("stage", [None, "local", "dev", "staging"])
def test_a_stage_of_test_payments_needs_no_flag(stage: str | None) -> None:
    require_permission_to_move_money(Wanted(stage=stage), WORKSPACE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stage", "prod"), "would move real money"),
        (("--stage", "staging"), "There is no token for the stage 'staging'"),
    ],
)
def test_the_command_says_what_is_missing_and_fails(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert main(["--state-dir", str(tmp_path), "load", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


@pytest.mark.parametrize(
    "arguments", [("--rate", "0"), ("--rate", "many"), ("--seconds", "-1"), ("--clients", "0")]
)
def test_numbers_that_make_no_sense_are_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["load", *arguments])
    assert arguments[1] in capsys.readouterr().err
