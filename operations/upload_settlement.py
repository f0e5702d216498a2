"""`make upload-settlement`: upload a settlement file through the API, and show the result."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx

from local.api_client import ApiClient, Reply
from local.deploy import up
from local.emulator.ports import parse_port
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.deployed import output_of
from operations.settlement_summary import print_summary

TOKEN_VARIABLE: Final = "PAYMENTS_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with a bearer token or API key, for stages in AWS."""
UPLOAD_TIMEOUT_SECONDS: Final = 600.0
FINISHED_WITHIN_SECONDS: Final = 1_800.0
"""A million lines take some 15 minutes."""
NOTICE_AFTER_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.5
MOST_SETTLEMENTS: Final = 20
"""Payouts of one file that are read and printed; a file may have a thousand."""
READ_BYTES: Final = 1024 * 1024
_WAITING: Final = ("received", "processing")
_MESSAGE: Final = re.compile(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", re.DOTALL)


@dataclass(frozen=True)
class Uploaded:
    """The row of a processed file, and its first settlements."""

    file: Any
    settlements: tuple[Any, ...]


@dataclass(frozen=True)
class Target:
    """Where to upload: the API, and the merchant that an operator acts for (None: the token's)."""

    client: ApiClient
    merchant_id: str | None
    is_local: bool = True

    def query(self, **members: str | int) -> dict[str, str | int]:
        """A query string for this merchant."""
        return members if self.merchant_id is None else {**members, "merchant_id": self.merchant_id}


def upload_settlement(
    workspace: Workspace, progress: Progress, *, file: str, merchant: str, stage: str | None
) -> None:
    """Upload `file` for `merchant`, wait until it is processed, and print the result.

    Raises:
        LocalError: the file or merchant does not exist, the upload failed, or it was rejected.
    """
    path = _readable(file)
    target = _local(workspace, progress, merchant) if stage is None else _deployed(stage, merchant)
    uploaded = upload(path, target, progress)
    for settlement in uploaded.settlements:
        print_summary(settlement, target.client, target.query())
    more = len(uploaded.file["settlement_ids"]) - len(uploaded.settlements)
    if more > 0:
        progress.say(f"The file has {more} more payouts: GET /v1/settlements lists them.")


def upload(path: Path, target: Target, progress: Progress) -> Uploaded:
    """Upload one file and wait for its settlements. Raises LocalError."""
    body: dict[str, Any] = {"name": path.name, "sha256": _sha256(path)}
    if target.merchant_id is not None:
        body["merchant_id"] = target.merchant_id
    made = _made(target.client.post("/v1/settlement-files", body), target)
    with progress.step(f"Upload {path.name}"):
        _put(path, made, trust_environment=not target.is_local)
    file = _await(made["id"], target, progress)
    if file["status"] == "rejected":
        raise LocalError(
            f"{path.name} was rejected: {file['reason']}",
            hint="docs/settlement-layouts.md says what a file needs, docs/reconciliation.md how to "
            "export it.",
        )
    if not file["settlement_ids"]:
        progress.note(f"{path.name} has a header and no lines: there is nothing to settle.")
    settlements = tuple(
        target.client.get(f"/v1/settlements/{each}").require(HTTPStatus.OK)
        for each in file["settlement_ids"][:MOST_SETTLEMENTS]
    )
    return Uploaded(file, settlements)


def _readable(file: str) -> Path:
    if not file:
        raise LocalError("No file is named.", hint="make upload-settlement FILE=… MERCHANT=mer_…")
    path = Path(file).expanduser()
    if not path.is_file():
        raise LocalError(f"File not found: {file}", hint="Name one: FILE=path/to/payout.csv")
    if path.stat().st_size == 0:
        raise LocalError(f"{file} is empty.", hint="Export it again from the processor.")
    return path


def _local(workspace: Workspace, progress: Progress, merchant: str) -> Target:
    if not merchant:
        raise LocalError(
            "No merchant is named.", hint="MERCHANT=mer_…; `make seed` prints the id of one."
        )
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    return Target(ApiClient.of_operator(stack, workspace), merchant)


def _deployed(stage: str, merchant: str) -> Target:
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise LocalError(
            f"{TOKEN_VARIABLE} is not set.",
            hint="Put a token or an API key with the permissions merchant and reports into it.",
        )
    client = ApiClient(output_of(stage, "api", "ApiUrl"), token)
    return Target(client, merchant or None, is_local=False)


def _made(reply: Reply, target: Target) -> Any:
    if reply.status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
        raise LocalError(
            f"The API refused the file: {reply.body['detail']}.",
            hint=f"Is {target.merchant_id} a merchant of this stage?"
            if target.merchant_id
            else "The token needs the permissions merchant and reports.",
        )
    if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise LocalError(
            f"The API refused the file: {reply.body['detail']}.", hint="Rename the file."
        )
    return reply.require(HTTPStatus.CREATED)


def _put(path: Path, made: Any, *, trust_environment: bool) -> None:
    """PUT the bytes to the signed link."""
    headers = {**made["upload_headers"], "Content-Length": str(path.stat().st_size)}
    try:
        with path.open("rb") as content:
            answer = httpx.put(
                made["upload_url"],
                content=content,
                headers=headers,
                timeout=UPLOAD_TIMEOUT_SECONDS,
                trust_env=trust_environment,
            )
    except httpx.HTTPError as error:
        raise LocalError(
            f"The upload was interrupted: {error}.", hint="Run it again; nothing was processed."
        ) from error
    if answer.status_code != HTTPStatus.OK:
        said = _MESSAGE.search(answer.text)
        why = f"{said[1]}: {said[2]}" if said else answer.text[:200]
        raise LocalError(
            f"S3 refused the upload with status {answer.status_code}. {why}",
            hint="The link works for 15 minutes and for exactly these bytes. Run it again.",
        )


def _await(file_id: str, target: Target, progress: Progress) -> Any:
    """The file's row once it is final, with a bar of its chunks meanwhile."""
    began = time.monotonic()
    noticed = False
    with progress.rows() as bars:
        bar = bars.add_task("chunks", total=None)
        while True:
            reply = target.client.get(f"/v1/settlement-files/{file_id}")
            file = reply.require(HTTPStatus.OK)
            chunks = file["progress"]
            bars.update(bar, completed=chunks["chunks_done"], total=chunks["chunks"] or None)
            if file["status"] not in _WAITING:
                return file
            waited = time.monotonic() - began
            if waited > FINISHED_WITHIN_SECONDS:
                raise LocalError(
                    f"{file_id} is still {file['status']} after {waited / 60:.0f} minutes.",
                    hint=f"Processing goes on: see GET /v1/settlement-files/{file_id}, or look at "
                    'make logs ARGS="reconcile".',
                )
            if waited > NOTICE_AFTER_SECONDS and file["status"] == "received" and not noticed:
                noticed = True
                progress.note("No event about the upload has been processed yet; still waiting.")
            time.sleep(POLL_SECONDS)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
