"""The network between the platform and the simulated Stripe: a bad line under Stripe's own library.

The library's own HTTP client is replaced at its documented place (`stripe.HTTPClient`), so that
requests are encoded and answers parsed as in production.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Any, Final
from urllib.parse import urlsplit

import stripe

from simulation.faults import PartnerRates
from simulation.partners.stripe_answers import Json
from simulation.partners.stripe_server import StripeServer
from simulation.partners.stripe_tokens import NEVER_HEARD
from simulation.scheduler import Scheduler

OVERTAKEN_SECONDS: Final = 2.0
"""By so much the answer to a refund is late whose failure was announced before."""


def _lost() -> BaseException:
    return stripe.APIConnectionError("nothing was heard of Stripe")  # type: ignore[no-untyped-call]


class StripeNetwork(stripe.HTTPClient):
    """Sends requests to `server`; each is done there at one instant, or not, or late."""

    name = "simulated"

    def __init__(
        self,
        server: StripeServer,
        scheduler: Scheduler,
        rates: Callable[[], PartnerRates],
        timeout_seconds: float,
    ) -> None:
        super().__init__()
        self._server, self._scheduler, self._rates = server, scheduler, rates
        self._timeout_seconds = timeout_seconds

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """One request; raises APIConnectionError where no answer comes."""
        method, path = method.upper(), urlsplit(url).path
        what = f"stripe {method} {path.split('/')[2]}"
        status, body = self._scheduler.remote(
            what,
            lambda: self._server.answer(method, url, headers or {}, post_data),
            replace(self._rates(), timeout=self._timeout_seconds),
            _lost,
        )
        late = self._seconds_late(path, body)
        if late:
            self._scheduler.sleep(min(late, self._timeout_seconds))
        if late > self._timeout_seconds:
            raise _lost()
        return json.dumps(body), status, {"Request-Id": "req_simulated"}

    def _seconds_late(self, path: str, body: Json) -> float:
        """By how much an answer is heard later than others; infinity: never."""
        if path == "/v1/refunds" and body.get("id") in self._server.overtaken:
            return OVERTAKEN_SECONDS
        charged = path == "/v1/payment_intents" and body.get("status") == "succeeded"
        return inf if charged and body["payment_method"] == NEVER_HEARD else 0.0

    def close(self) -> None:
        """The connection fails."""
