"""Cached view of endpoints during one invocation: URL, secrets and health.

Both rows are read once per invocation and merchant. The messages of an invocation are processed in
parallel, so a shared read is as fresh as one read each; and reading both rows strongly
for each delivery of a busy merchant would exceed a partition's 3,000 reads a second.

They are read eventually consistent, so an attempt may use the URL, the secrets and the health of a
moment ago. What would end a delivery for good is read again, strongly consistent: a merchant
without an endpoint, and an endpoint that is gone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from runtime.core.errors import StaleWrite
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.timestamps import to_timestamp
from runtime.merchants.repository import MerchantRepository, WebhookEndpoint
from runtime.webhooks.models import EndpointHealth, endpoint_id
from runtime.webhooks.repository import WebhookRepository
from runtime.webhooks.schedule import after_failure, after_success, is_blameless, probing, unprobed

MAX_NOTES: Final = 5
"""Attempts to record an endpoint's health while others record theirs."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A merchant's current endpoint and its health; None means no failures."""

    merchant_id: str
    url: str
    sender: WebhookEndpoint = field(repr=False)
    health: EndpointHealth | None

    def secrets(self, at: datetime) -> tuple[str, ...]:
        """The secrets that sign at `at`."""
        return self.sender.secrets(to_timestamp(at))


class Endpoints:
    """The endpoints used by one invocation; `forget` starts the next one."""

    def __init__(
        self,
        merchants: MerchantRepository,
        webhooks: WebhookRepository,
        outside: Outside,
    ) -> None:
        self._merchants, self._webhooks, self._outside = merchants, webhooks, outside
        self.forget()

    def forget(self) -> None:
        """Clear the cache. Must not run concurrently with reads."""
        self._guard = self._outside.lock()
        self._reading: dict[str, AbstractContextManager[Any]] = {}
        self._known: dict[str, Endpoint | None] = {}

    def of(self, merchant_id: str) -> Endpoint | None:
        """The merchant's endpoint, cached for this invocation; None if it has none."""
        with self._guard:
            lock = self._reading.setdefault(merchant_id, self._outside.lock())
        with lock:  # one thread per merchant reads, the others wait
            if merchant_id not in self._known:
                self._known[merchant_id] = self._read(merchant_id)
            return self._known[merchant_id]

    def _read(self, merchant_id: str) -> Endpoint | None:
        sender = self._merchants.recent_webhook_endpoint(merchant_id)
        if sender is None or sender.webhook_url is None:
            sender = self._merchants.webhook_endpoint(merchant_id)
        if sender is None or sender.webhook_url is None:
            return None
        url = sender.webhook_url
        health = self._webhooks.recent_health(merchant_id, url)
        if health is not None and health.gone_at is not None:
            health = self._webhooks.health(merchant_id, url)
        return Endpoint(merchant_id, url, sender, health)

    def take_probe(self, rested: EndpointHealth) -> EndpointHealth:
        """Reserve the probe of a resting endpoint. Raises StaleWrite if another has reserved it."""
        probe = probing(rested, self._outside.now())
        self._webhooks.note_health(rested, probe)
        return probe

    def release_probe(self, probe: EndpointHealth) -> None:
        """Release a reserved probe that was not used."""
        with suppress(StaleWrite):  # a newer state was recorded meanwhile
            self._webhooks.note_health(probe, unprobed(probe, self._outside.now()))

    def note(
        self, endpoint: Endpoint, *, delivered: bool, gone: bool = False, by_hand: bool = False
    ) -> None:
        """Record the result of an attempt in the endpoint's health."""
        known = endpoint.health
        for _ in range(MAX_NOTES):
            now = self._outside.now()
            before = known or _newly_seen(endpoint, now)
            if delivered:
                if is_blameless(before):
                    return
                after = after_success(before, now, by_hand=by_hand)
            else:
                after = after_failure(before, now, gone=gone)
            try:
                self._webhooks.note_health(known, after)
            except StaleWrite:
                known = self._webhooks.health(endpoint.merchant_id, endpoint.url)
                continue
            return
        # The concurrent writers have recorded enough to open or close the circuit.
        which = endpoint_id(endpoint.merchant_id, endpoint.url)
        logger.warning("an endpoint's health was recorded by others", endpoint=which)


def _newly_seen(endpoint: Endpoint, now: datetime) -> EndpointHealth:
    return EndpointHealth(
        id=endpoint_id(endpoint.merchant_id, endpoint.url),
        merchant_id=endpoint.merchant_id,
        version=0,
        updated_at=to_timestamp(now),
    )
