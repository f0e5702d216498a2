"""Run a schedule now instead of waiting for its time."""

import json
import time
from typing import Any

from local.emulator.aws import Clients
from local.errors import FunctionFailed, LocalError
from local.stackfile import Stack


def tick(stack: Stack, name: str, **asked: str) -> tuple[Any, float]:
    """Invoke the schedule's function with its real event; its answer, and the seconds it took.

    `asked` is added to the event.

    Raises:
        LocalError: no such schedule.
        FunctionFailed: the function raised.
    """
    schedule = stack.schedules.get(name)
    if schedule is None:
        known = ", ".join(sorted(stack.schedules)) or "none"
        raise LocalError(
            f"Unknown schedule {name!r}.",
            hint=f'Known: {known}. Example: make tick ARGS="resolver"',
        )
    started = time.monotonic()
    answer = Clients(stack.aws_endpoint_url).functions.invoke(
        FunctionName=schedule.function, Payload=json.dumps({**schedule.event, **asked}).encode()
    )
    payload = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        raise FunctionFailed(
            f"Schedule {name!r}: {schedule.function} failed: {_reason(payload)}",
            hint=f'Its output: make logs ARGS="{_role(stack, schedule.function)}"',
        )
    return payload, time.monotonic() - started


def _role(stack: Stack, function: str) -> str:
    return next((role for role, name in stack.functions.items() if name == function), function)


def _reason(payload: Any) -> str:
    if isinstance(payload, dict) and "errorMessage" in payload:
        return f"{payload.get('errorType', 'Error')}: {payload['errorMessage']}"
    return json.dumps(payload)[:500]
