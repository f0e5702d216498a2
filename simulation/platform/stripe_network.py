"""The network between the platform and the simulated Stripe: a bad line under Stripe's own library.

The library's own HTTP client is replaced at its documented place (`stripe.HTTPClient`), so that
requests are encoded and answers parsed as in production.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import stripe

from simulation.faults import PartnerRates
from simulation.platform.stripe_server import StripeServer
from simulation.scheduler import Scheduler


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
        method = method.upper()
        what = f"stripe {method} {urlsplit(url).path.split('/')[2]}"
        status, body = self._scheduler.remote(
            what,
            lambda: self._server.answer(method, url, headers or {}, post_data),
            replace(self._rates(), timeout=self._timeout_seconds),
            _lost,
        )
        return json.dumps(body), status, {"Request-Id": "req_simulated"}

    def close(self) -> None:
        """There is no connection."""
