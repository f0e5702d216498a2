"""Cached view of endpoints during one invocation: URL, secrets and health.

Both rows are read once per invocation and endpoint. The messages of an invocation are processed in
parallel, so a shared read is as fresh as one read each; and reading both rows strongly
for each delivery of a busy merchant would exceed a partition's 3,000 reads a second.

They are read eventually consistent, so an attempt may use the URL, the secrets and the health of a
moment ago. What would end or postpone a delivery is read again, strongly consistent: an endpoint
that is missing, disabled, gone or resting. So a delivery that is sent again on request, when the
endpoint has just been recovered, is not held up by its health of before.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from runtime.core.errors import StaleWrite
from runtime.core.fields import Timestamp
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.merchants.repository import MerchantRepository
from runtime.merchants.webhook_endpoints import first_endpoint_id
from runtime.webhooks.endpoints.repository import EndpointRepository
from runtime.webhooks.models import EndpointHealth, health_id
from runtime.webhooks.repository import WebhookRepository
from runtime.webhooks.schedule import after_failure, after_success, is_blameless, probing, unprobed

MAX_NOTES: Final = 5
"""Attempts to record an endpoint's health while others record theirs."""


class Sender(Protocol):
    """What signs an endpoint's webhooks."""

    @property
    def is_enabled(self) -> bool:
        """Whether webhooks are sent."""
        ...

    def secrets(self, at: Timestamp) -> tuple[str, ...]:
        """The secrets that sign at `at`."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint and its health; None means no failures."""

    id: str
    merchant_id: str
    url: str = field(repr=False)
    sender: Sender = field(repr=False)
    health: EndpointHealth | None

    @property
    def is_enabled(self) -> bool:
        """Whether webhooks are sent, unless their redelivery was requested."""
        return self.sender.is_enabled

    def secrets(self, at: datetime) -> tuple[str, ...]:
        """The secrets that sign at `at`."""
        return self.sender.secrets(to_timestamp(at))


class Endpoints:
    """The endpoints used by one invocation; `forget` starts the next one."""

    def __init__(
        self,
        merchants: MerchantRepository,
        endpoints: EndpointRepository,
        webhooks: WebhookRepository,
        outside: Outside,
    ) -> None:
        self._merchants, self._endpoints = merchants, endpoints
        self._webhooks, self._outside = webhooks, outside
        self.forget()

    def forget(self) -> None:
        """Clear the cache. Must not run concurrently with reads."""
        self._guard = self._outside.lock()
        self._reading: dict[str, AbstractContextManager[Any]] = {}
        self._known: dict[str, Endpoint | None] = {}

    def of(self, merchant_id: str, endpoint_id: str) -> Endpoint | None:
        """An endpoint of a merchant, cached for this invocation; None if it does not exist."""
        with self._guard:
            lock = self._reading.setdefault(endpoint_id, self._outside.lock())
        with lock:  # one thread per endpoint reads, the others wait
            if endpoint_id not in self._known:
                self._known[endpoint_id] = self._read(merchant_id, endpoint_id)
            return self._known[endpoint_id]

    def _read(self, merchant_id: str, endpoint_id: str) -> Endpoint | None:
        target = self._target(merchant_id, endpoint_id)
        if target is None:
            return None
        url, sender = target
        health = self._webhooks.recent_health(merchant_id, endpoint_id, url)
        if health is not None and (health.gone_at is not None or health.open_until is not None):
            health = self._webhooks.health(merchant_id, endpoint_id, url)
        return Endpoint(endpoint_id, merchant_id, url, sender, health)

    def _target(self, merchant_id: str, endpoint_id: str) -> tuple[str, Sender] | None:
        """The URL of an endpoint, and what signs its webhooks."""
        if endpoint_id == first_endpoint_id(merchant_id):
            first = self._merchants.recent_first_endpoint(merchant_id)
            if first is None or first.webhook_url is None or not first.is_enabled:
                first = self._merchants.first_endpoint(merchant_id)
            url = None if first is None else first.webhook_url
            return None if first is None or url is None else (url, first)
        scope = Scope(merchant_id)
        row = self._endpoints.recent(endpoint_id, scope)
        if row is None or not row.is_enabled:
            row = self._endpoints.get(endpoint_id, scope)
        return None if row is None else (row.url, row)

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
                known = self._webhooks.health(endpoint.merchant_id, endpoint.id, endpoint.url)
                continue
            return
        # The concurrent writers have recorded enough to open or close the circuit.
        logger.warning("an endpoint's health was recorded by others", endpoint=endpoint.id)


def _newly_seen(endpoint: Endpoint, now: datetime) -> EndpointHealth:
    return EndpointHealth(
        id=health_id(endpoint.merchant_id, endpoint.id, endpoint.url),
        merchant_id=endpoint.merchant_id,
        version=0,
        updated_at=to_timestamp(now),
    )
