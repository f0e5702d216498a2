"""The demo's audit: who changed a payment, and how tampering is found."""

from __future__ import annotations

import time
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from local.api_client import ApiClient
from local.demo.checks import StoryBroken, hold
from local.emulator.aws import Clients
from local.schedules import tick
from local.stackfile import Stack
from operations.audit.target import local_target
from operations.verify_audit import reported, verified

TOLD_WITHIN_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.3
SHOWN_CHANGES: Final = 3
SHORT_TEXT: Final = 20
ARCHIVED_WITHIN_SECONDS: Final = 90.0


def audit(stack: Stack, client: ApiClient, payment_id: str, console: Console) -> None:
    """Show a payment's audit trail, verify it, edit a row out of band, and show that it is found.

    The row is restored. Raises:
        LocalError: the result is not the expected one.
    """
    payment = client.get(f"/v1/payments/{payment_id}").require(200)
    rows = await_trail(client, payment_id, payment["version"])
    console.print(
        f"19. The audit trail of [cyan]{payment_id}[/cyan], made by the change streams: one row "
        "per version"
    )
    _show(rows, console)
    verdict = client.get(f"/v1/audit/{payment_id}/verify").require(200)
    hold(verdict["valid"], f"the chain of {payment_id} does not hold: {verdict['first_bad']}")
    console.print(
        f"   {verdict['length']} rows in a valid chain with the head {verdict['head_hash']}"
    )
    closed, _ = tick(stack, "archive")
    report = verified(
        local_target(stack), only=payment_id, patience_seconds=ARCHIVED_WITHIN_SECONDS
    )
    hold(report.holds, "; ".join(map(reported, report.findings)))
    console.print(
        f"   It agrees with {report.archived} rows in locked storage, under {report.roots} signed "
        f"root{'' if report.roots == 1 else 's'} (the last is number {closed['last_number']})."
    )
    _tamper(stack, payment_id, rows[-1], console)
    hold(
        verified(local_target(stack), only=payment_id).holds,
        "the row that was put back does not hold",
    )


def await_trail(client: ApiClient, payment_id: str, version: int) -> list[Any]:
    """The rows once the newest version has one: the change streams take a moment."""
    deadline = time.monotonic() + TOLD_WITHIN_SECONDS
    while time.monotonic() < deadline:
        answer = client.get("/v1/audit", entity_id=payment_id, limit="100")
        rows: list[Any] = answer.require(200)["data"] if answer.status == 200 else []
        if rows and rows[0]["version"] >= version:
            return rows
        time.sleep(POLL_SECONDS)
    raise StoryBroken(
        f"{payment_id} had no audit row of version {version} within {TOLD_WITHIN_SECONDS:.0f} s.",
        hint='See the log: make logs ARGS="project"',
    )


def _show(rows: list[Any], console: Console) -> None:
    table = Table("when", "what", "who", "from what to what", box=SIMPLE)
    for row in reversed(rows):
        steps = _steps(row)[:SHOWN_CHANGES]
        more = len(row["changes"]) - len(steps)
        rest = ([f"and {more} more"] if steps else [f"{more} values"]) if more else []
        what = "\n".join([*steps, *rest])
        table.add_row(row["timestamp"], row["action"], row["user_id"], what)
    console.print(table)


def _steps(row: Any) -> list[str]:
    """What fits into a line, the status first."""
    old, new = row["old_values"], row["new_values"]
    short = [
        name for name in row["changes"] if _is_short(old.get(name)) and _is_short(new.get(name))
    ]
    short.sort(key=lambda name: (name != "status", name))
    return [f"{name}: {old[name]} → {new[name]}" for name in short]


def _is_short(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= SHORT_TEXT)


def _tamper(stack: Stack, payment_id: str, row: Any, console: Console) -> None:
    """Edit one row directly in the table, show that it is found, and restore it."""
    dynamodb, table = Clients(stack.aws_endpoint_url).dynamodb, stack.tables["audit_log"]
    key = {"entity_id": {"S": payment_id}, "sequence": {"S": row["sequence"]}}
    item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    dynamodb.put_item(TableName=table, Item={**item, "user_id": {"S": "another-user"}})
    try:
        report = verified(local_target(stack), only=payment_id)
    finally:
        dynamodb.put_item(TableName=table, Item=item)
    found = [(f.subject, f.sequence) for f in report.findings]
    hold(found == [(payment_id, row["sequence"])], f"the edit was not found, but {found}")
    console.print("   An administrator edits the user of an audit row. Verification:")
    console.print(f"   [red]{reported(report.findings[0])}[/]")
    console.print("   (The row is restored; the edit has triggered an alarm and raised an alert.)")
