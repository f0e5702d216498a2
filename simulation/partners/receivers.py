"""Merchants' endpoints for webhooks: some answer late, wrongly or not at all; some are gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, Self
from urllib.parse import urlsplit

from runtime.webhooks.http_sender import TOTAL_SECONDS, Reply
from simulation.faults import PartnerRates
from simulation.platform.history import WebhookReceived
from simulation.scheduler import Scheduler

_DOMAIN: Final = ".shops.example"
TOO_LATE: Final = f"no answer within {TOTAL_SECONDS:g} s"
"""As webhook_http.py says it."""


@dataclass(frozen=True)
class ReceiverRates:
    """Chances of what an endpoint that was reached answers."""

    error: float = 0.05
    busy: float = 0.02
    gone: float = 0.003
    redirect: float = 0.01
    missing: float = 0.01
    """404, as of a server that is misconfigured for a moment."""
    down_seconds: float = 120.0
    goes_down: float = 0.003
    """The endpoint answers nothing at all for up to `down_seconds`."""

    @classmethod
    def calm(cls) -> Self:
        """Every webhook is taken."""
        return cls(error=0.0, busy=0.0, gone=0.0, redirect=0.0, missing=0.0, goes_down=0.0)


class LostReply(Exception):
    """Nothing was heard of an endpoint."""


@dataclass
class Endpoints:
    """Every merchant's endpoint; `WebhookHttp` of the deliver function (webhook_delivery.Http).

    What one answers is drawn from a generator of its own, so that no client's decisions depend on
    it.
    """

    scheduler: Scheduler
    line: Callable[[], PartnerRates]
    dice: Random
    rates: ReceiverRates = field(default_factory=ReceiverRates)
    received: list[WebhookReceived] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    """Names of endpoints that answer nothing until they are removed from here."""
    on_received: Callable[[WebhookReceived, Mapping[str, str]], None] = lambda _one, _headers: None
    _down_until: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def url_of(name: str) -> str:
        """The URL that the merchant called `name` registers."""
        return f"https://{name}{_DOMAIN}/hooks"

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """One attempt: what became of it."""
        host = urlsplit(url).hostname or ""
        line = replace(self.line(), timeout=TOTAL_SECONDS)
        try:
            reply: Reply = self.scheduler.remote(
                "endpoint", lambda: self._arrived(host, headers, body), line, LostReply
            )
        except LostReply:
            return Reply(failure=TOO_LATE)
        if reply.failure == TOO_LATE:
            self.scheduler.sleep(TOTAL_SECONDS)
        return reply

    def _arrived(self, host: str, headers: Mapping[str, str], body: bytes) -> Reply:
        reply = self._reply(host)
        if reply.failure is None:
            received = WebhookReceived(
                self.scheduler.now,
                host.removesuffix(_DOMAIN),
                headers["webhook-id"],
                body,
                reply.status,
            )
            self.received.append(received)
            self.on_received(received, headers)
        return reply

    def _reply(self, host: str) -> Reply:
        rates, dice, now = self.rates, self.dice, self.scheduler.now
        if host.removesuffix(_DOMAIN) in self.down:
            return Reply(failure=TOO_LATE)
        if rates.goes_down and dice.random() < rates.goes_down:
            self._down_until[host] = now + dice.uniform(0.0, rates.down_seconds)
        if rates.goes_down and now < self._down_until.get(host, 0.0):
            return Reply(failure=TOO_LATE)
        throw = dice.random()
        for chance, reply in (
            (rates.error, Reply(status=500)),
            (rates.busy, Reply(status=503, retry_after=str(dice.randrange(1, 90)))),
            (rates.gone, Reply(status=410)),
            (rates.redirect, Reply(status=302)),
            (rates.missing, Reply(status=404)),
        ):
            throw -= chance
            if throw < 0:
                return reply
        return Reply(status=204)
