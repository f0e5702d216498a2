"""The demo's receiver of webhooks: verifies each one as a merchant would, and shows it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from rich.console import Console
from standardwebhooks import Webhook, WebhookVerificationError

from local.demo_checks import hold
from local.ports import HOST

PATIENCE_SECONDS: Final = 30.0
MAX_BODY_BYTES: Final = 1024 * 1024


@dataclass
class WebhookReceiver:
    """Listens on a free port of this machine. Give it the merchant's `secret` before any event.

    What arrives before there is a secret is answered 503, and so comes again.
    """

    secret: str | None = None
    verified: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    port: int = 0
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        """What the merchant registers as its webhook_url."""
        return f"http://{HOST}:{self.port}/webhooks"

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Verify one webhook; the status of the answer."""
        if self.secret is None:
            return 503
        try:
            event = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return 400
        with self._arrived:
            # The same id is the same event: at least once is what is promised.
            if all(event["id"] != known["id"] for known in self.verified):
                self.verified.append(event)
            self._arrived.notify_all()
        return 204

    def await_events(self, count: int) -> list[dict[str, Any]]:
        """The first `count` events, as soon as they are there.

        Raises:
            LocalError: they did not come in time, or one had no signature of ours.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._arrived:
            self._arrived.wait_for(
                lambda: len(self.verified) >= count, timeout=deadline - time.monotonic()
            )
            found = self.verified[:count]
        hold(len(found) == count, f"{len(found)} webhooks arrived instead of {count}")
        hold(self.refused == 0, f"{self.refused} webhooks had no signature of ours")
        return found


@contextmanager
def receiving() -> Iterator[WebhookReceiver]:
    """A receiver that listens while the block runs."""
    receiver = WebhookReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = min(int(self.headers.get("content-length", "0")), MAX_BODY_BYTES)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(self.rfile.read(size), headers)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the demo shows what matters."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def show(events: list[dict[str, Any]], console: Console) -> None:
    """One line for each verified webhook."""
    for event in events:
        console.print(
            f"   [green]verified[/green] {event['type']} of {event['data']['id']}, "
            f"sequence {event['sequence']} ({event['id']})"
        )
