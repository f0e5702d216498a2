"""`make apply-processor-events`: retry processor events that could not be applied."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

import boto3
from botocore.config import Config
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from local.api_client import ApiClient
from local.emulator.aws import LONGEST_FUNCTION_SECONDS
from local.errors import FunctionFailed, LocalError
from local.progress import Progress
from local.stackfile import require_stack
from local.workspace import Workspace
from operations.deployed import names_of

_PAGE: Final = 100
_REFUSED: Final = (HTTPStatus.OK, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)


def apply_processor_events(workspace: Workspace, progress: Progress, *, stage: str | None) -> None:
    """Apply every kept event of the local stage through its API, and print each result.

    For a deployed stage the poll is run, which does the same and reports the number of events.

    Raises:
        LocalError: nothing runs, the API or the function failed, or some events still fail.
    """
    if stage is not None:
        report = _poll(stage)
        progress.say(f"Result of the poll of {stage}: {report}")
        if report["kept"] or report["failed"] or not report["finished"]:
            raise LocalError(
                "Some events could not be applied.", hint="GET /v1/processor-events says why"
            )
        return
    operator = ApiClient.of_operator(require_stack(workspace), workspace)
    table = Table("event", "about", "now", box=SIMPLE)
    left = 0
    for row in _unapplied(operator):
        answer = operator.post(f"/v1/processor-events/{row['id']}/apply", {})
        body = answer.require(*_REFUSED)
        is_applied = answer.status == HTTPStatus.OK
        left += not is_applied
        about = row["object_id"] or row["reference"]
        table.add_row(row["id"], about, "applied" if is_applied else body["detail"])
    if table.row_count == 0:
        progress.say("No events are kept: all have been applied.")
        return
    Console(highlight=False, soft_wrap=True).print(table)
    if left:
        raise LocalError(f"{left} could not be applied.", hint="docs/operations.md says what to do")


def _unapplied(operator: ApiClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"status": "unapplied", "limit": _PAGE}
    while True:
        page = operator.get("/v1/processor-events", **query).require(HTTPStatus.OK)
        found += page["data"]
        if not page["has_more"]:
            return found
        query["cursor"] = page["next_cursor"]


def _poll(stage: str) -> dict[str, Any]:
    # No retry: a function that was invoked twice would have run twice.
    patient = Config(
        read_timeout=LONGEST_FUNCTION_SECONDS, retries={"total_max_attempts": 1, "mode": "standard"}
    )
    answer = boto3.client("lambda", config=patient).invoke(
        FunctionName=names_of(stage, "workers", "Functions")["poll"],
        Payload=json.dumps({"schedule": "poll"}).encode(),
    )
    report: dict[str, Any] = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        raise FunctionFailed(
            f"The poll of {stage} failed: {report.get('errorMessage', report)}",
            hint="see its log group",
        )
    return report
