"""Processors' notifications: signed, sent again until they are taken, twice, late, or never."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from runtime.payments.processors.sandbox import events as sandbox_events
from runtime.payments.processors.stripe import events as stripe_events
from simulation.outside import BEGINNING
from simulation.platform.http import ClientGone, HttpRequest, HttpResponse
from simulation.scheduler import Scheduler

HINT_SHARE: Final = 0.2
"""Of notifications about charges, that many are sent: they only repeat what was answered."""
SILENT_SHARE: Final = 0.1
"""Of the others, that many are never sent: the poll has to find out."""
MOST_ATTEMPTS: Final = 12


class Sender(Protocol):
    """Where notifications go."""

    def api(self, request: HttpRequest, impatience: float | None = None) -> HttpResponse:
        """One request."""
        ...


def sign_sandbox(body: bytes, secret: str, at_seconds: int) -> dict[str, str]:
    """Headers of a notification of the sandbox."""
    signature = sandbox_events.sign_sandbox_event(body, secret, at_seconds)
    return {sandbox_events.SIGNATURE_HEADER: signature}


def sign_stripe(body: bytes, secret: str, at_seconds: int) -> dict[str, str]:
    """Headers of a notification of Stripe's (docs.stripe.com/webhooks, "Verify manually")."""
    signed = hmac.new(secret.encode(), b"%d.%s" % (at_seconds, body), hashlib.sha256)
    return {stripe_events.SIGNATURE_HEADER: f"t={at_seconds},v1={signed.hexdigest()}"}


@dataclass
class Notifier:
    """Sends every notification in a task of its own. Its chance is not that of any client."""

    scheduler: Scheduler
    sender: Sender
    dice: Random
    waiting: int = 0
    given_up: list[bytes] = field(default_factory=list)

    def is_quiet(self) -> bool:
        """Nothing is on its way, or will be sent again."""
        return self.waiting == 0

    def tell(
        self, shop: Any, event: dict[str, Any], *, hint: bool = False, always: bool = False
    ) -> None:
        """An event at the processor of `shop`; mostly, or `always`, a notification is sent."""
        throw = self.dice.random()
        if not always and (throw < SILENT_SHARE or (hint and throw > HINT_SHARE)):
            return
        times = 2 if self.dice.random() < 0.1 else 1
        for _ in range(times):
            late = self.dice.uniform(0.0, 600.0) if self.dice.random() < 0.2 else 0.2
            self.waiting += 1
            self.scheduler.spawn(partial(self._send, shop, event, late), "notification")

    def _send(self, shop: Any, event: dict[str, Any], late: float) -> None:
        body = json.dumps(event).encode()
        sign: Callable[[bytes, str, int], dict[str, str]] = (
            sign_stripe if shop.processor == "stripe" else sign_sandbox
        )
        self.scheduler.sleep(late)
        for attempt in range(MOST_ATTEMPTS):
            now = int(BEGINNING.timestamp() + self.scheduler.now)
            request = HttpRequest(
                shop.processor,
                "POST",
                f"/v1/processor-events/{shop.processor}",
                raw=body,
                query={"merchant_id": shop.id},
                headers=sign(body, shop.processor_secret, now),
            )
            try:
                if self.sender.api(request, 20.0).is_success:
                    break
            except ClientGone:
                pass
            self.scheduler.sleep(min(2.0**attempt * 5.0, 1_800.0))
        else:
            self.given_up.append(body)
        self.waiting -= 1
