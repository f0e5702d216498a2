"""`make listen`: show the webhooks of a merchant of the local stage as they arrive."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from local.deploy import up
from local.emulator.ports import parse_port
from local.progress import Progress
from local.webhooks.forwarding import Target
from local.webhooks.receiver import (
    Answer,
    NotVerified,
    Received,
    about,
    listening,
    signed_with,
    verified,
)
from local.webhooks.registration import listener, registered
from local.workspace import Workspace

_TYPE_WIDTH: Final = 26
_PLAIN_WIDTH: Final = 200


@dataclass
class Listening:
    """Shows each webhook, passes it on if there is a target, and answers it.

    `secret` is the endpoint's own. Verified webhooks are passed on under the signature of
    `merchant_secret`, which receivers know; without it, and if they are not verified, unchanged.

    Without a target a webhook is answered 204, or 400 if it is not verified. `wanted`: how many
    to show before `ended`; None for any number.
    """

    secret: str
    target: Target | None
    console: Console
    wanted: int | None = None
    merchant_secret: str | None = None
    shown: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def take(self, received: Received) -> Answer:
        """One webhook, in the thread of its connection."""
        problem = self._problem(received)
        passed_on = received
        if problem is None and self.merchant_secret is not None:
            passed_on = signed_with(received, self.merchant_secret)
        forwarded = None if self.target is None else self.target.forward(passed_on)
        with self._one_at_a_time:
            self._show(received, problem)
            if forwarded is not None and self.target is not None:
                self.console.print(Text(f"          {self.target.url} {forwarded.shown}"))
            self.shown += 1
            if self.wanted is not None and self.shown >= self.wanted:
                self.ended.set()
        if forwarded is not None:
            return forwarded.answer
        return Answer(HTTPStatus.NO_CONTENT if problem is None else HTTPStatus.BAD_REQUEST)

    def _problem(self, received: Received) -> str | None:
        """Why the signature is not verified; None if it is."""
        try:
            verified(received, self.secret)
        except NotVerified as problem:
            return str(problem)
        return None

    def _show(self, received: Received, problem: str | None) -> None:
        kind, subject = _content(received)
        verdict = (
            Text("verified", style="green")
            if problem is None
            else Text(f"not verified: {problem}", style="red")
        )
        identifier = received.headers.get("webhook-id", "without an id")
        line = f"{time.strftime('%H:%M:%S')}  {kind:<{_TYPE_WIDTH}}  {subject}  {identifier}  "
        self.console.print(Text(line).append_text(verdict))


def listen(
    workspace: Workspace,
    progress: Progress,
    *,
    merchant: str,
    secret: str,
    forward: str,
    count: int | None,
) -> None:
    """Deploy if needed, register an endpoint, and show what arrives until Ctrl-C.

    Raises:
        LocalError: the stage cannot be started, or the merchant or `forward` cannot be used.
    """
    target = Target.of(forward) if forward else None
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    who = listener(stack, workspace, merchant, secret)
    state = Listening("", target, _console(), count, who.secret)

    def made(endpoint: Mapping[str, Any]) -> None:
        state.secret = endpoint["secret"]

    with (
        listening(state.take) as url,
        registered(stack, workspace, who.merchant_id, url, made) as endpoint,
    ):
        if target is not None and who.secret is None:
            progress.say(f"What is passed on is signed with {state.secret}")
        progress.say(f"Listening for webhooks of {who.merchant_id} at {url}. Ctrl-C ends it.")
        progress.say("To make one, in another terminal: make trigger EVENT=payment.succeeded")
        try:
            state.ended.wait()
        except KeyboardInterrupt:
            progress.say("")
    progress.say(f"{state.shown} webhooks. The endpoint {endpoint['id']} is deleted.")


def _content(received: Received) -> tuple[str, str]:
    """Type and subject of an event, whoever sent it."""
    try:
        event: Any = json.loads(received.body)
        return str(event["type"]), about(event["data"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return "not an event", f"{len(received.body)} bytes"


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=True)
    # Rich assumes 80 columns for a file or a pipe, and would wrap the lines.
    return console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)
