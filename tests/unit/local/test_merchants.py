"""A token for an unknown merchant is refused at once: later it would fail without a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local import seed as seeding
from local.api_client import ApiClient, Reply
from local.cli import main
from local.progress import Progress
from local.workspace import PROJECT_ROOT, Workspace
from tests.support.stages.any_stack import any_stack

STACK = any_stack()


class FakeApi:
    """Merchants by id, and whatever else is created."""

    def __init__(self, *merchants: str) -> None:
        self.merchants = {f"mer_{name}": name for name in merchants}
        self.has_more = False

    def get(self, path: str, **query: str | int) -> Reply:
        if path == "/v1/merchants":
            data = [{"id": key, "name": name} for key, name in self.merchants.items()]
            return _reply(200, {"data": data, "has_more": self.has_more, "next_cursor": None})
        found = path.removeprefix("/v1/merchants/") in self.merchants
        return _reply(200 if found else 404, {"title": "…"})

    def post(self, path: str, body: Any, key: str | None = None) -> Reply:
        secret = {"webhook_secret": "whsec_abc"} if path == "/v1/merchants" else {}
        return _reply(201, {**body, "id": "x_1", "formatted_balance": "$0.00", **secret})


def _reply(status: int, body: Any) -> Reply:
    return Reply(status, {}, json.dumps(body))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    api = FakeApi("books", "bikes")
    monkeypatch.setattr(ApiClient, "of_operator", lambda *_: api)
    monkeypatch.setattr(ApiClient, "of_merchant", lambda *_: api)
    return api


def token(tmp_path: Path, merchant: str) -> int:
    STACK.write(tmp_path / "stack.json")
    return main(["--state-dir", str(tmp_path), "token", "--merchant", merchant])


def test_an_existing_merchant_gets_its_token(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert token(tmp_path, "mer_books") == 0
    assert capsys.readouterr().out.count(".") == 2


@pytest.mark.parametrize("merchant", ["mer_…", "mer_unknown", ""])
def test_an_unknown_merchant_is_refused_with_the_known_ones(
    merchant: str, api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.has_more = True
    assert token(tmp_path, merchant) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Merchant {merchant!r} does not exist." in captured.err
    assert "Known: mer_books (books), mer_bikes (bikes), and more." in captured.err


def test_without_merchants_the_message_says_how_to_create_one(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.merchants.clear()
    assert token(tmp_path, "mer_…") == 1
    assert "The stage has no merchants. Make one: make seed" in capsys.readouterr().err


def test_without_a_stage_the_message_says_how_to_start_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", str(tmp_path), "token", "--merchant", "mer_books"]) == 1
    assert "make up" in capsys.readouterr().err


def test_the_seed_prints_the_webhook_secret(
    api: FakeApi,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("local.seed.up", lambda *_: STACK)
    seeding.seed(Workspace(PROJECT_ROOT, tmp_path), Progress())
    assert "secret    whsec_abc  " in capsys.readouterr().out
