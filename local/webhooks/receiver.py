"""An endpoint for webhooks on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError

from local.emulator.ports import HOST

MAX_BODY_BYTES: Final = 1024 * 1024
CLIENT_TIMEOUT_SECONDS: Final = 10.0
"""How long a connection may be silent."""
PATH: Final = "/webhooks"


@dataclass(frozen=True)
class Received:
    """One webhook as it arrived; header names are in lower case."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What the endpoint answers."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class NotVerified(Exception):
    """The webhook is not authentic, or too old; the message says why."""


def verified(received: Received, secret: str) -> dict[str, Any]:
    """The event of a webhook, verified as merchants verify it. Raises NotVerified."""
    try:
        event: dict[str, Any] = Webhook(secret).verify(received.body, dict(received.headers))
    except (WebhookVerificationError, ValueError) as problem:
        raise NotVerified(str(problem) or "the body is not JSON") from problem
    return event


def signed_with(received: Received, secret: str) -> Received:
    """The same webhook, signed with another secret; id and time stay."""
    sent_at = datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), UTC)
    identifier, body = received.headers["webhook-id"], received.body.decode()
    signature = Webhook(secret).sign(identifier, sent_at, body)
    return Received(received.body, {**received.headers, "webhook-signature": signature})


def about(data: Mapping[str, Any]) -> str:
    """The payment of an event, if it has one, or otherwise the object that it shows."""
    return str(data.get("payment_id") or data.get("entity_id") or data["id"])


@contextmanager
def listening(answer: Callable[[Received], Answer]) -> Iterator[str]:
    """Listen on a free port while the block runs; its value is the URL to register."""

    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_TIMEOUT_SECONDS

        def do_POST(self) -> None:
            size = min(int(self.headers.get("content-length", "0")), MAX_BODY_BYTES)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answered = answer(Received(self.rfile.read(size), headers))
            self.send_response(answered.status)
            for name, value in answered.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: the commands print their own output."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    # The last webhooks are answered before it closes; otherwise they would be sent again.
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
