"""`make console` prints the console's address, signed in, and opens it for people only."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

import local.console
from local.console import console_url, show_console
from local.errors import LocalError
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import PROJECT_ROOT, Workspace
from tests.support.stages.any_stack import any_stack

API = "http://127.0.0.1:4610/_aws/execute-api/payments/$default"
MERCHANT = "mer_01JCONSOLE0000000000000000"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A stage that runs: nothing is deployed."""
    stack = any_stack(api_url=API, aws_endpoint_url="http://127.0.0.1:4610")

    def known(_stack: Stack, _workspace: Workspace, merchant: str) -> None:
        if merchant != MERCHANT:
            raise LocalError(f"No such merchant: {merchant}.", hint="make seed creates one.")

    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setattr(local.console, "up", lambda *_: stack)
    monkeypatch.setattr(local.console, "require_merchant", known)
    return Workspace(root=PROJECT_ROOT, directory=tmp_path)


def _claims(printed: str) -> dict[str, object]:
    """Of the token in the only line that was printed."""
    (line,) = printed.splitlines()
    parts = urlsplit(line)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{API}/console"
    assert parts.query == "", "a query would be sent to the server"
    (token,) = parse_qs(parts.fragment)["token"]
    claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_an_operator_is_signed_in(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    show_console(workspace, Progress(), browser=_never)
    claims = _claims(capsys.readouterr().out)
    assert claims["permissions"] == ["admin"]
    assert "merchant_id" not in claims


def test_a_merchant_is_signed_in_with_its_permissions(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    show_console(workspace, Progress(), merchant=MERCHANT, browser=_never)
    claims = _claims(capsys.readouterr().out)
    assert claims["merchant_id"] == MERCHANT
    assert "admin" not in str(claims["permissions"])


def test_an_unknown_merchant_is_refused(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LocalError, match="No such merchant"):
        show_console(workspace, Progress(), merchant="mer_other", browser=_never)
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_a_browser_unless_it_says_otherwise(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        return True

    show_console(workspace, Progress(), browser=browser)
    assert opened == capsys.readouterr().out.splitlines()
    show_console(workspace, Progress(), may_open=False, browser=_never)


def test_whoever_has_no_browser_is_asked_to_open_the_address(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_console(workspace, Progress(), browser=lambda _: False)
    assert "open the address above yourself" in capsys.readouterr().err


def test_a_token_is_one_value_of_the_address() -> None:
    assert console_url("https://api.test", "a.b&c") == "https://api.test/console#token=a.b%26c"


def _never(url: str) -> bool:
    raise AssertionError(f"opened {url}")
