"""The demo's receiver of webhooks: verifies each one as a merchant would, and shows it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from standardwebhooks import Webhook, WebhookVerificationError

from local.demo.checks import hold
from local.emulator.ports import HOST

PATIENCE_SECONDS: Final = 90.0
MAX_BODY_BYTES: Final = 1024 * 1024


News = tuple[str, str]
"""The content of a webhook: its type, and the id of its subject."""


@dataclass
class WebhookReceiver:
    """Listens on a free port of this machine. Set the merchant's `secret` before any event.

    Webhooks that arrive before are answered 503, and so are retried.
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
            # The same id is the same event: delivery is at least once.
            if all(event["id"] != known["id"] for known in self.verified):
                self.verified.append(event)
            self._arrived.notify_all()
        return 204

    def await_news(self, news: Sequence[News]) -> list[dict[str, Any]]:
        """Every event so far, once all `news` have arrived.

        Raises:
            LocalError: they did not arrive in time, or one had an invalid signature.
        """
        with self._arrived:
            self._arrived.wait_for(lambda: not self._missing(news), timeout=PATIENCE_SECONDS)
            missing, found = self._missing(news), list(self.verified)
        hold(not missing, f"no webhook arrived for {', '.join(map(' of '.join, missing))}")
        hold(self.refused == 0, f"{self.refused} webhooks had no signature of ours")
        return found

    def _missing(self, news: Sequence[News]) -> list[News]:
        reported = {(event["type"], _about(event["data"])) for event in self.verified}
        return sorted(set(news) - reported)


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
            """Log nothing: the demo prints its own output."""

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


def hear(receiver: WebhookReceiver, news: Sequence[News], console: Console) -> None:
    """Await the expected webhooks, and print every one that was verified.

    Raises:
        LocalError: one is missing, or has an invalid signature.
    """
    events = receiver.await_news(news)
    console.print(
        f"\n17. The merchant's receiver has verified {len(events)} webhooks by their signatures, "
        "each by the\n    sequence of what it is about:\n"
    )
    table = Table(
        "webhook", Column("about", no_wrap=True), Column("sequence", justify="right"), box=SIMPLE
    )
    for event in events:
        table.add_row(
            f"[green]verified[/] {event['type']}", _about(event["data"]), str(event["sequence"])
        )
    console.print(table)


def _about(data: dict[str, Any]) -> str:
    """The payment of a webhook, if it has one, or otherwise what it shows."""
    return str(data.get("payment_id") or data.get("entity_id") or data["id"])
