"""What the use cases of webhook endpoints need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from runtime.core.errors import Unavailable
from runtime.core.outside import Threads
from runtime.http.pagination import Cursors
from runtime.idempotency.claims import ClaimReader
from runtime.webhooks.delivery_queue import DeliveryQueue
from runtime.webhooks.endpoints.stored import StoredEndpoints
from runtime.webhooks.repository import WebhookRepository

MAX_ATTEMPTS: Final = 10
"""Attempts to change the endpoints of one merchant under concurrent writes."""


@dataclass(frozen=True)
class EndpointReads:
    """Dependencies of reads."""

    stored: StoredEndpoints
    webhooks: WebhookRepository
    cursors: Cursors


@dataclass(frozen=True)
class EndpointDependencies:
    """Dependencies of changes.

    `deadline`: how long a test or a recovered webhook is attempted.
    """

    stored: StoredEndpoints
    webhooks: WebhookRepository
    queue: DeliveryQueue
    claims: ClaimReader
    threads: Callable[[int], Threads]
    deadline: timedelta
    allow_local: bool = False


def busy(what: str) -> Unavailable:
    """The error after MAX_ATTEMPTS."""
    return Unavailable(f"Webhook endpoints of {what} are being changed; try again")
