"""`make upload-settlement`: errors are reported in one message, before anything is uploaded."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from local.api_client import ApiClient
from local.errors import LocalError
from local.progress import Progress
from operations.cli import main
from operations.settlement_summary import print_summary
from operations.upload_settlement import TOKEN_VARIABLE, Target, upload

Answers = Callable[[httpx.Request], httpx.Response]
SETTLEMENT: dict[str, Any] = {
    "id": "set_1",
    "payout_reference": "po_1",
    "source": "po.csv",
    "format": "stripe",
    "date": "2026-03-15",
    "status": "completed_with_exceptions",
    "counts": {"matched": 3, "amount_mismatch": 1},
    "open_exceptions": 1,
    "by_type": {
        "capture": {"USD": {"count": 2, "amount": 2500, "fee": 95, "net": 2405}},
        "fee": {"USD": {"count": 1, "amount": -50, "fee": 0, "net": -50}},
        "payout": {"USD": {"count": 1, "amount": -2255, "fee": 0, "net": -2255}},
    },
    "payout": {"USD": 2255},
    "remainder": {"USD": -100},
}
LINE: dict[str, Any] = {
    "line": 10_000_003,
    "file_line": 3,
    "type": "capture",
    "category": "[red]charge[/]",
    "status": "amount_mismatch",
    "reason": "The file says 25.00 USD.",
    "actions": ["accept", "ignore"],
}


def client_of(answers: Answers) -> ApiClient:
    client = ApiClient("http://api.invalid", None)
    client._http = httpx.Client(
        base_url="http://api.invalid", transport=httpx.MockTransport(answers)
    )
    return client


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("content", "message"), [(None, "File not found"), (b"", "is empty")], ids=["none", "empty"]
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    path = tmp_path / "po.csv"
    if content is not None:
        path.write_bytes(content)
    arguments = ("upload-settlement", "--file", str(path), "--merchant", "mer_1")
    assert message in failed(capsys, "--state-dir", str(tmp_path), *arguments)


def test_a_file_and_a_merchant_are_required(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--state-dir", str(tmp_path), "upload-settlement")
    assert "No file is named" in failed(capsys, *command)
    path = tmp_path / "po.csv"
    path.write_text("x")
    assert "No merchant is named" in failed(capsys, *command, "--file", str(path))


def test_a_stage_in_aws_needs_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    path = tmp_path / "po.csv"
    path.write_text("x")
    arguments = ("upload-settlement", "--file", str(path), "--stage", "prod")
    assert TOKEN_VARIABLE in failed(capsys, "--state-dir", str(tmp_path), *arguments)


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_refusal_of_the_api_is_shown_with_its_detail(tmp_path: Path, status: int) -> None:
    asked: list[Any] = []

    def answers(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(status, json={"detail": "no merchant mer_9"})

    path = tmp_path / "po.csv"
    path.write_bytes(b"a file")
    target = Target(client_of(answers), "mer_9")
    with pytest.raises(LocalError, match="no merchant mer_9"):
        upload(path, target, Progress(Console(file=io.StringIO())))
    assert asked[0]["merchant_id"] == "mer_9"
    assert asked[0]["sha256"] == hashlib.sha256(b"a file").hexdigest()


def test_a_file_without_lines_is_reported_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"id": "fil_1", "upload_url": "http://s3.invalid/x", "upload_headers": {}}
    progress = {"chunks": 0, "chunks_done": 0, "lines": 0}
    file = {"status": "completed", "settlement_ids": [], "progress": progress}

    def answers(request: httpx.Request) -> httpx.Response:
        status, body = (201, made) if request.method == "POST" else (200, file)
        return httpx.Response(status, json=body)

    monkeypatch.setattr(httpx, "put", lambda *_, **__: httpx.Response(200))
    path, out = tmp_path / "po.csv", io.StringIO()
    path.write_text("a,b")
    uploaded = upload(path, Target(client_of(answers), None), Progress(Console(file=out)))
    assert uploaded.settlements == ()
    assert "po.csv has a header and no lines" in out.getvalue()


def test_the_summary_explains_the_payout_and_says_what_to_do() -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/report"):
            return httpx.Response(200, json={"url": "http://report.invalid/x"})
        assert request.url.params["settlement_id"] == "set_1"
        assert request.url.params["merchant_id"] == "mer_1"
        return httpx.Response(200, json={"data": [LINE]})

    out = io.StringIO()
    console = Console(file=out, width=200)
    print_summary(SETTLEMENT, client_of(answers), {"merchant_id": "mer_1"}, console)
    text = out.getvalue()
    for row in (
        ("capture", "2", "25.00", "0.95", "24.05"),
        ("sum of all lines", "23.55"),
        ("paid out", "22.55"),
        ("remainder", "-1.00"),
    ):
        assert any(all(cell in printed for cell in row) for printed in text.splitlines()), row
    assert "Compare both amounts" in text
    assert "10000003 (file: 3)" in text, "the path to resolve a line contains its number"
    assert "http://report.invalid/x" in text
