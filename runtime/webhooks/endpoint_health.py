"""Endpoints as the sender knows them: where a merchant is told, and how it went there so far.

Both are read once per invocation and merchant. The messages of an invocation are worked on at
once, so what one of them has read is as new to the others; and the two rows, strongly read, would
otherwise be asked for by each delivery of a busy merchant: a partition gives 3,000 reads a second.
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
"""Tries to note an endpoint's health while others note theirs."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a merchant is told now, and what is held against that; None: nothing is."""

    merchant_id: str
    url: str
    sender: WebhookEndpoint = field(repr=False)
    health: EndpointHealth | None

    def secrets(self, at: datetime) -> tuple[str, ...]:
        """Those that sign at `at`."""
        return self.sender.secrets(to_timestamp(at))


class Endpoints:
    """The endpoints that one invocation sends to; `forget` begins the next one."""

    def __init__(
        self,
        merchants: MerchantRepository,
        webhooks: WebhookRepository,
        outside: Outside,
    ) -> None:
        self._merchants, self._webhooks, self._outside = merchants, webhooks, outside
        self.forget()

    def forget(self) -> None:
        """Read everything anew from here on. Nobody may be reading."""
        self._guard = self._outside.lock()
        self._reading: dict[str, AbstractContextManager[Any]] = {}
        self._known: dict[str, Endpoint | None] = {}

    def of(self, merchant_id: str) -> Endpoint | None:
        """The merchant's endpoint as this invocation knows it; None: it is told nowhere."""
        with self._guard:
            lock = self._reading.setdefault(merchant_id, self._outside.lock())
        with lock:  # the others of this merchant wait for the one that reads
            if merchant_id not in self._known:
                self._known[merchant_id] = self._read(merchant_id)
            return self._known[merchant_id]

    def _read(self, merchant_id: str) -> Endpoint | None:
        sender = self._merchants.webhook_endpoint(merchant_id)
        if sender is None or sender.webhook_url is None:
            return None
        health = self._webhooks.health(merchant_id, sender.webhook_url)
        return Endpoint(merchant_id, sender.webhook_url, sender, health)

    def take_probe(self, rested: EndpointHealth) -> EndpointHealth:
        """Keep all others away from an endpoint. Raises StaleWrite when somebody else does."""
        probe = probing(rested, self._outside.now())
        self._webhooks.note_health(rested, probe)
        return probe

    def give_back(self, probe: EndpointHealth) -> None:
        """Let another find out: the one that wanted to has nothing to send."""
        with suppress(StaleWrite):  # something was noted meanwhile, and says more
            self._webhooks.note_health(probe, unprobed(probe, self._outside.now()))

    def note(
        self, endpoint: Endpoint, *, delivered: bool, gone: bool = False, by_hand: bool = False
    ) -> None:
        """Remember how it went, beside what was known of `endpoint` before the attempt."""
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
        # Those who were faster have noted as much as is needed to open or close the circuit.
        which = endpoint_id(endpoint.merchant_id, endpoint.url)
        logger.warning("others noted how an endpoint was", endpoint=which)


def _newly_seen(endpoint: Endpoint, now: datetime) -> EndpointHealth:
    return EndpointHealth(
        id=endpoint_id(endpoint.merchant_id, endpoint.url),
        merchant_id=endpoint.merchant_id,
        version=0,
        updated_at=to_timestamp(now),
    )
