"""`make trace`: print the story of a request or payment over all functions, in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
from rich.console import Console
from rich.table import Column, Table

from local.emulator.aws import Clients
from local.errors import LocalError
from local.stackfile import Stack, require_stack
from local.workspace import Workspace
from operations.deployed import names_of
from operations.rollback import STACKS
from operations.trace.log_lines import FilteredLogs, InsightsLogs, LogSource, groups_of
from operations.trace.rows import StoredRows
from operations.trace.story import TRACEABLE, Step, began_at, story_of
from runtime.core.request_ids import is_request_id
from runtime.functions.composition import aws_clients

DEFAULT_HOURS: Final = 24
"""How far back the log is searched if no row says when the story began."""
MOST_HOURS: Final = 24 * 90
MARGIN: Final = timedelta(minutes=2)
"""Searched before the first row: the request began before its first commit."""
MOST_IDS: Final = 100
"""Ids that the log is searched for. A payment with more changes is traced by its requests."""
NARROW: Final = 120


@dataclass(frozen=True)
class Target:
    """Where a story is read: rows, log groups by function, and the log."""

    rows: StoredRows
    functions: Mapping[str, str]
    lambda_client: Any
    logs: LogSource


def local_target(stack: Stack) -> Target:
    """The local stage's."""
    clients = Clients(stack.aws_endpoint_url)
    rows = StoredRows(clients.dynamodb, stack.tables)
    return Target(rows, stack.functions, clients.functions, FilteredLogs(clients.logs))


def deployed_target(stage: str) -> Target:
    """A deployed stage's, with the shell's credentials. Raises LocalError if it is not found."""
    functions: dict[str, str] = {}
    for name in STACKS:
        functions |= names_of(stage, name, "Functions")
    rows = StoredRows(aws_clients.botocore_dynamodb(), names_of(stage, "data", "Tables"))
    return Target(rows, functions, boto3.client("lambda"), InsightsLogs(boto3.client("logs")))


def trace(workspace: Workspace, *, identifier: str, hours: int | None, stage: str | None) -> None:
    """Print the story.

    Raises:
        LocalError: not an id of a request or payment, nothing is known of it, or no such stage.
    """
    require_traceable(identifier)
    target = local_target(require_stack(workspace)) if stage is None else deployed_target(stage)
    steps = read_story(identifier, target, datetime.now(UTC), hours)
    print_story(identifier, steps, Console(highlight=False, soft_wrap=True))


def require_traceable(identifier: str) -> None:
    """Raises LocalError for what is not an id of a request or payment."""
    if not TRACEABLE.fullmatch(identifier):
        raise LocalError(
            f"{identifier!r} cannot be traced.",
            hint="Give a payment's id, or the x-request-id of an answer: "
            "make trace ID=pay_… or make trace ID=req_…",
        )


def read_story(identifier: str, target: Target, now: datetime, hours: int | None) -> list[Step]:
    """All steps of the story, in order of time. Raises LocalError if nothing is known."""
    rows = target.rows.audit_rows(identifier)
    began = began_at(rows)
    since = timedelta(hours=hours or DEFAULT_HOURS)
    start = began - MARGIN if began is not None and hours is None else now - since
    requests = [row.request_id for row in rows if is_request_id(row.request_id)]
    entities = [row.entity_id for row in rows if not row.entity_id.startswith("acc_")]
    ids = [each for each in dict.fromkeys([identifier, *requests, *entities]) if is_plain(each)]
    groups = groups_of(target.functions, target.lambda_client)
    lines = target.logs.lines(groups, ids[:MOST_IDS], start, now)
    steps = story_of(rows, target.rows.webhooks(rows), lines)
    if not steps:
        raise LocalError(
            f"Nothing is known of {identifier}: no row, and no log line since {start:%F %T} UTC.",
            hint="Is it of this stage? STAGE= names another, SINCE=HOURS searches the log longer. "
            "Rows and lines of a request follow within seconds.",
        )
    return steps


def is_plain(identifier: str) -> bool:
    """Whether it can be part of a query: rows may have been edited."""
    return identifier.replace("_", "").replace("=", "").replace("-", "").isalnum()


def print_story(identifier: str, steps: list[Step], console: Console) -> None:
    """Print the steps as a table; the request of a step only where it is another one."""
    if not console.is_terminal:  # rich would assume 80 columns
        console = Console(highlight=False, soft_wrap=True, width=NARROW)
    table = Table("when", "where", Column("what", overflow="fold"), box=None)
    others = [step.request_id if step.request_id != identifier else "" for step in steps]
    if any(others):
        table.add_column("request")
    for step, other in zip(steps, others, strict=True):
        table.add_row(step.at, step.where, step.what, *([other] if any(others) else ()))
    console.print(table)
