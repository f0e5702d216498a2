"""The demo's trace: one request id through all functions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from rich.console import Console

from local.api_client import ApiClient
from local.demo.audit import await_trail
from local.demo.checks import StoryBroken
from local.errors import LocalError
from local.stackfile import Stack
from operations.trace.command import local_target, print_story, read_story
from operations.trace.story import Step

PARTS: Final = frozenset({"process", "project", "deliver", "audit", "posting", "webhook"})
"""What the story of a capture consists of."""
TOLD_WITHIN_SECONDS: Final = 90.0
POLL_SECONDS: Final = 1.0


def follow(stack: Stack, client: ApiClient, payment_id: str, console: Console) -> None:
    """Show what became of the capture of a payment: rows and log lines of all functions.

    Raises:
        StoryBroken: a part of the story is missing.
    """
    payment = client.get(f"/v1/payments/{payment_id}").require(200)
    rows = await_trail(client, payment_id, payment["version"])
    captured = next(row for row in rows if row["action"] == "payment_succeeded")
    request_id: str = captured["request_id"]
    steps = _complete(request_id, stack)
    console.print(
        f"18. The capture of [cyan]{payment_id}[/cyan] in all functions, found by the x-request-id "
        f"of its answer:\n   make trace ID={request_id}\n"
    )
    print_story(request_id, steps, console)
    console.print()


def _complete(request_id: str, stack: Stack) -> list[Step]:
    """The story once it has all parts: streams, queue and log take a moment."""
    target = local_target(stack)
    deadline = time.monotonic() + TOLD_WITHIN_SECONDS
    missing = PARTS
    while time.monotonic() < deadline:
        try:
            steps = read_story(request_id, target, datetime.now(UTC), None)
        except LocalError:  # nothing is known of it yet
            steps = []
        missing = PARTS - {step.where for step in steps if step.request_id == request_id}
        if not missing:
            return steps
        time.sleep(POLL_SECONDS)
    raise StoryBroken(
        f"The story of {request_id} has no part {', '.join(sorted(missing))} after "
        f"{TOLD_WITHIN_SECONDS:.0f} s.",
        hint='See the log: make logs ARGS="project"',
    )
