"""Recent log events of a function of the local stage.

The emulator stores them where AWS does, in the function's log group; its own log has none of them.
"""

from __future__ import annotations

from typing import Final

from local.emulator.aws import Clients
from local.errors import LocalError
from local.stackfile import Stack

MOST_EVENTS: Final = 200


def last_events(stack: Stack, name: str, minutes: int, now_seconds: float) -> list[str]:
    """The last events of the function `name`, oldest first: at most `MOST_EVENTS`, `minutes` old.

    Raises:
        LocalError: no such function.
    """
    function = stack.functions.get(name)
    if function is None:
        raise LocalError(
            f"Unknown function {name!r}.",
            hint=f'Known: {", ".join(sorted(stack.functions))}. Example: make logs ARGS="process"',
        )
    clients = Clients(stack.aws_endpoint_url)
    configuration = clients.functions.get_function_configuration(FunctionName=function)
    pages = clients.logs.get_paginator("filter_log_events").paginate(
        logGroupName=configuration["LoggingConfig"]["LogGroup"],
        startTime=round((now_seconds - minutes * 60) * 1000),
    )
    events = sorted(
        (event for page in pages for event in page["events"]), key=lambda event: event["timestamp"]
    )
    return [event["message"].rstrip("\n") for event in events[-MOST_EVENTS:]]
