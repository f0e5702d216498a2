"""HTTP as a client of the API sends it: no proxy, no redirect, no retry of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import requests

from runtime.canary.credentials import CanaryCredentials

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 31.0
"""An HTTP API gives an integration 30 s (API Gateway quota), and answers a little later itself."""
LONGEST_REQUEST_SECONDS: Final = CONNECT_SECONDS + READ_SECONDS
USER_AGENT: Final = "payments-canary/1.0"


@dataclass(frozen=True)
class ApiAnswer:
    """One answer. `status` None: there was none, and the request may or may not have arrived."""

    status: int | None
    body: Mapping[str, Any] = field(default_factory=dict)
    """The JSON object; empty if the answer has none."""
    problem: str = ""
    """Why there was no answer."""

    @property
    def summary(self) -> str:
        """For logs: the status with the problem's code, and no body."""
        if self.status is None:
            return self.problem
        code = self.body.get("code")
        return f"{self.status} {code}" if isinstance(code, str) else str(self.status)


class CanaryApi(Protocol):
    """The deployed API."""

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> ApiAnswer:
        """Send one request; `path` begins with /v1, `key` is its idempotency key."""
        ...


class HttpCanaryApi:
    """The API over HTTP, with the canary's key."""

    def __init__(self, credentials: CanaryCredentials) -> None:
        self._url = credentials.api_url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(
            {"Authorization": f"Bearer {credentials.api_key}", "User-Agent": USER_AGENT}
        )

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> ApiAnswer:
        """Send one request. A failure of the network is an answer without a status."""
        try:
            response = self._session.request(
                method,
                self._url + path,
                json=body,
                headers={} if key is None else {"Idempotency-Key": key},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Not its message, which names the address and may name more.
            return ApiAnswer(None, problem=f"no answer ({type(error).__name__})")
        return ApiAnswer(response.status_code, _object(response.content))


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
