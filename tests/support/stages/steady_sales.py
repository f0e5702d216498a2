"""A shop that sells without a pause while its stage changes, and what it may expect of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from local.api_client import ApiClient, Reply
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.stages.releases import RELEASE_HEADER

CURRENT = "current"
RETRIED = frozenset({409, 429, 500, 502, 503, 504})
"""Answers that a client repeats with the same key."""
PAUSE_SECONDS = 0.2


@dataclass
class SteadySales:
    """One payment after the other, each repeated with its key until it is answered for good."""

    client: ApiClient
    payments: dict[str, Any] = field(default_factory=dict)
    """The answers by idempotency key."""
    releases: Counter[str] = field(default_factory=Counter)
    """Payments by the release that answered."""
    repeated: int = 0
    error: BaseException | None = None

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Sell during the block. Raises what ended the sales, if anything did."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if self.error is not None:
            raise self.error

    def await_release(self, release: str, count: int = 3) -> None:
        """Return when `release` has answered `count` more payments."""
        wanted = self.releases[release] + count
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.releases[release] < wanted:
            assert self.error is None, self.error
            assert time.monotonic() < deadline, f"no payment was answered by {release}"
            time.sleep(PAUSE_SECONDS)

    def _run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._sell(f"sale-{len(self.payments)}")
                time.sleep(PAUSE_SECONDS)
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self.error = error

    def _sell(self, key: str) -> None:
        sale = {"amount": 1_000, "currency": "USD", "payment_method": "tok_approved"}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            reply = self._attempt(sale, key)
            if reply is not None and reply.status not in RETRIED:
                self.payments[key] = reply.require(201)
                self.releases[reply.headers.get(RELEASE_HEADER, CURRENT)] += 1
                return
            assert time.monotonic() < deadline, f"{key} was not answered: {reply}"
            self.repeated += 1
            time.sleep(PAUSE_SECONDS)

    def _attempt(self, sale: dict[str, Any], key: str) -> Reply | None:
        try:
            return self.client.post("/v1/payments", sale, key=key)
        except httpx.TransportError:
            return None  # unanswered: a client cannot know whether it was accepted
