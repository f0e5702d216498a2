"""Pass a webhook on to the receiver that is being developed, as it arrived."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

from local.errors import LocalError
from local.webhooks.receiver import Answer, Received

TIMEOUT_SECONDS: Final = 9.5
"""The platform waits 10 seconds for an answer."""
MAX_ANSWER_BYTES: Final = 64 * 1024
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"}
)
_PASSED_ON: Final = ("retry-after",)
"""Headers of the answer that the platform acts on."""


@dataclass(frozen=True)
class Forwarded:
    """What the receiver answered, and in words."""

    answer: Answer
    shown: str


@dataclass(frozen=True)
class Target:
    """Where webhooks are passed on to."""

    url: str
    _parts: SplitResult

    @classmethod
    def of(cls, url: str) -> Target:
        """Raises LocalError unless it is an http or https URL with a host."""
        try:
            parts = urlsplit(url)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                return cls(url, parts)
        except ValueError:  # brackets or the port
            pass
        raise LocalError(
            f"FORWARD={url!r} is not an http or https URL.",
            hint="Example: make listen FORWARD=http://127.0.0.1:3000/hooks",
        )

    def forward(self, received: Received) -> Forwarded:
        """Send body and headers unchanged; without an answer it is 502."""
        began = time.monotonic()
        try:
            answer = self._sent(received)
        except (OSError, http.client.HTTPException) as problem:
            why = str(problem) or type(problem).__name__
            return Forwarded(Answer(HTTPStatus.BAD_GATEWAY), f"did not answer: {why}")
        milliseconds = (time.monotonic() - began) * 1000
        return Forwarded(answer, f"answered {answer.status} in {milliseconds:.0f} ms")

    def _sent(self, received: Received) -> Answer:
        connect = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = connect(self._parts.hostname or "", self._parts.port, timeout=TIMEOUT_SECONDS)
        try:
            path = self._parts.path or "/"
            target = f"{path}?{self._parts.query}" if self._parts.query else path
            connection.putrequest("POST", target, skip_accept_encoding=True)
            for name, value in received.headers.items():
                if name not in _OF_THE_CONNECTION:
                    connection.putheader(name, value)
            connection.putheader("content-length", str(len(received.body)))
            connection.endheaders(received.body)
            response = connection.getresponse()
            response.read(MAX_ANSWER_BYTES)
            named = ((name, response.getheader(name)) for name in _PASSED_ON)
            passed_on = {name: value for name, value in named if value is not None}
            return Answer(response.status, passed_on)
        finally:
            connection.close()
