"""The demo's receiver of webhooks: verifies each one as a merchant would, and shows it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from local.demo.checks import hold
from local.webhooks.receiver import Answer, NotVerified, Received, about, listening, verified

PATIENCE_SECONDS: Final = 90.0


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
    url: str = ""
    """What the merchant registers as its webhook_url."""
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, webhook: Received) -> int:
        """Verify one webhook; the status of the answer."""
        if self.secret is None:
            return 503
        try:
            event = verified(webhook, self.secret)
        except NotVerified:
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
        reported = {(event["type"], about(event["data"])) for event in self.verified}
        return sorted(set(news) - reported)


@contextmanager
def receiving() -> Iterator[WebhookReceiver]:
    """A receiver that listens while the block runs."""
    receiver = WebhookReceiver()
    with listening(lambda webhook: Answer(receiver.take(webhook))) as url:
        receiver.url = url
        yield receiver


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
            f"[green]verified[/] {event['type']}", about(event["data"]), str(event["sequence"])
        )
    console.print(table)
