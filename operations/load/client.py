"""Clients of a load test: some give up early or repeat what was answered; all keep their keys."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

import httpx

from operations.load.journal import Journal
from operations.load.measurements import Measurements
from operations.load.requests import Reply, Request, did_as_asked, is_final

ATTEMPTS: Final = 5
PATIENT_SECONDS: Final = 35.0
"""API Gateway gives up after 30 s; a patient client does so a little later."""
IMPATIENT_SECONDS: Final = (0.02, 0.1, 0.5)
"""How long an impatient client waits for its first answer."""
IMPATIENT_SHARE: Final = 0.05
REPEATED_SHARE: Final = 0.05
"""Share of answered requests that are sent once more, under the same key."""
FIRST_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Habits:
    """How the clients behave. The shares are of requests with an idempotency key."""

    impatient_share: float = IMPATIENT_SHARE
    repeated_share: float = REPEATED_SHARE
    first_pause_seconds: float = FIRST_PAUSE_SECONDS
    """The longest pause before the second attempt; it doubles with each further one."""


class LoadClient:
    """Sends requests over kept connections; used by all threads at once."""

    def __init__(
        self, http: httpx.Client, journal: Journal, measured: Measurements, habits: Habits
    ) -> None:
        self._http = http
        self._journal, self._measured, self._habits = journal, measured, habits

    def ask(self, request: Request, dice: Random) -> Reply | None:
        """Repeat a request until there is a final answer, ATTEMPTS times at most.

        Returns the last answer; None if the last attempt had none.
        """
        reply = None
        keyed = request.key is not None
        for attempt in range(ATTEMPTS):
            impatient = attempt == 0 and keyed and dice.random() < self._habits.impatient_share
            reply = self.send(request, dice.choice(IMPATIENT_SECONDS) if impatient else None)
            if is_final(reply):
                break
            time.sleep(dice.random() * self._habits.first_pause_seconds * 2**attempt)
        if is_final(reply) and keyed and dice.random() < self._habits.repeated_share:
            again = self.send(request)
            if reply is not None and again is not None and is_final(again):
                self._journal.repeated(request, reply, again)
        return reply

    def send(self, request: Request, seconds: float | None = None) -> Reply | None:
        """One attempt; None without an answer within `seconds` (PATIENT_SECONDS)."""
        headers: Mapping[str, str] = {} if request.key is None else {"Idempotency-Key": request.key}
        begun = time.perf_counter()
        try:
            answer = self._http.request(
                request.method,
                request.path,
                json=request.body,
                params=request.query,
                headers=headers,
                timeout=PATIENT_SECONDS if seconds is None else seconds,
            )
        except httpx.HTTPError as error:
            self._measured.unanswered(request.operation, _kind(error, seconds))
            return None
        self._measured.answered(request.operation, time.perf_counter() - begun)
        replayed = answer.headers.get("idempotent-replayed") == "true"
        reply = Reply(answer.status_code, answer.text, replayed)
        if not did_as_asked(request, reply):
            self._measured.refused(request.operation, reply.said)
        return reply


def http_client(
    api_url: str, bearer: str, connections: int, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """Keeps up to `connections` connections.

    Nothing comes from the environment, as in ApiClient: a proxy must not see calls to this machine.
    """
    return httpx.Client(
        trust_env=False,
        base_url=api_url,
        headers={"Authorization": f"Bearer {bearer}"},
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        transport=transport,
    )


def _kind(error: httpx.HTTPError, seconds: float | None) -> str:
    """What kept an answer away. `seconds`: how long an impatient client waited."""
    if isinstance(error, httpx.TimeoutException):
        waited = PATIENT_SECONDS if seconds is None else seconds
        return f"{'no answer within' if seconds is None else 'gave up after'} {waited:g} s"
    if isinstance(error, httpx.ConnectError):
        return "not reached"
    return f"connection broken ({type(error).__name__})"
