"""`make rotate-keys`: re-encrypt rows of the local stage under current keys, and show progress."""

from __future__ import annotations

import json
import os
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from local.deploy import up
from local.emulator.aws import Clients
from local.emulator.ports import parse_port
from local.errors import FunctionFailed, LocalError
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import Workspace

MOST_RUNS = 1_000
"""Invocations of one sweep: each continues where the one before ran out of time."""


def rotate_keys(workspace: Workspace, progress: Progress, *, new_index_key: bool) -> None:
    """Sweep through all encrypted rows, or create a new key for e-mail indexes.

    Raises:
        LocalError: the function failed, or rows could not be decrypted.
    """
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    if new_index_key:
        answer = _invoke(stack, {"new_index_key": True})
        progress.say(
            f"A new index key was created; writes use it from {answer['written_by_from']}."
        )
        progress.say("Ten minutes after that, re-encrypt: make rotate-keys")
        return
    event = {"again": True}
    for _ in range(MOST_RUNS):
        answer = _invoke(stack, event)
        seen = {name: table["seen"] for name, table in answer["tables"].items()}
        progress.say(f"Rows so far: {seen}")
        if answer["finished"]:
            _print(answer)
            return
        event = {}
    raise LocalError(f"The sweep did not finish within {MOST_RUNS} runs.", hint="Run it again.")


def _invoke(stack: Stack, event: dict[str, Any]) -> Any:
    payload = json.dumps({"schedule": "rotation", **event}).encode()
    function = stack.functions["rotation"]
    answer = Clients(stack.aws_endpoint_url).functions.invoke(
        FunctionName=function, Payload=payload
    )
    document = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        raise FunctionFailed(
            f"{function} failed: {document.get('errorMessage', document)}",
            hint='Its output: make logs ARGS="rotation"',
        )
    return document


def _print(answer: Any) -> None:
    right = [Column(name, justify="right") for name in ("seen", "renewed", "failed")]
    table = Table("table", *right, box=SIMPLE)
    for name, row in answer["tables"].items():
        table.add_row(name, *(str(row[column]) for column in ("seen", "renewed", "failed")))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    if answer["retired"]:
        console.print(f"Retired index keys: {answer['retired']}")
    if any(row["failed"] for row in answer["tables"].values()):
        raise LocalError(
            "Some rows could not be decrypted.", hint='Which ones: make logs ARGS="rotation"'
        )
