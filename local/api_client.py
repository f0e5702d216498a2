"""A small client of the deployed API, for the demo, the seed and the end-to-end tests."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpx

from local.auth import Grant, token
from local.errors import LocalError
from local.stackfile import Stack
from local.workspace import Workspace

TIMEOUT_SECONDS: Final = 35.0
"""API Gateway times out after 30 s; the client a little later."""


class UnexpectedAnswer(LocalError):
    """The API's answer differs from the expected one."""


@dataclass(frozen=True)
class Reply:
    """One answer: status, headers, the exact text, and the text as JSON."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The JSON document."""
        return json.loads(self.text)

    def require(self, *statuses: int) -> Any:
        """The JSON document. Raises UnexpectedAnswer unless the status is one of `statuses`."""
        if self.status not in statuses:
            wanted = " or ".join(str(status) for status in statuses)
            raise UnexpectedAnswer(
                f"The API answered {self.status} instead of {wanted}: {self.text[:500]}",
                hint='See the log: make logs ARGS="process", or "query" for a GET.',
            )
        return self.body


class ApiClient:
    """Calls the API as one token's owner; None sends no token at all."""

    def __init__(
        self, api_url: str, bearer: str | None, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self.api_url, self.bearer = api_url, bearer
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        # Nothing from the environment: a proxy must not see calls to this machine. Connections
        # are not kept, so none is left open by an abandoned client.
        self._http = httpx.Client(
            base_url=api_url,
            headers=headers,
            timeout=timeout_seconds,
            trust_env=False,
            verify=_trusted(),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    @classmethod
    def of_operator(cls, stack: Stack, workspace: Workspace) -> ApiClient:
        """A platform operator."""
        return cls(stack.api_url, token(Grant.operator(), workspace))

    @classmethod
    def of_merchant(
        cls, stack: Stack, workspace: Workspace, merchant_id: str, *permissions: str
    ) -> ApiClient:
        """A merchant with some permissions."""
        grant = Grant(permissions, merchant_id=merchant_id)
        return cls(stack.api_url, token(grant, workspace))

    def get(self, path: str, **query: str | int) -> Reply:
        """GET `path`, which begins with /v1."""
        return self._reply(self._http.get(path, params=query))

    def post(self, path: str, body: Any, key: str | None = None) -> Reply:
        """POST a JSON document, with an Idempotency-Key if one is given."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._reply(self._http.post(path, json=body, headers=headers))

    def send(self, method: str, path: str, **options: Any) -> Reply:
        """Any request, for tests that send invalid ones."""
        return self._reply(self._http.request(method, path, **options))

    @staticmethod
    def _reply(answer: httpx.Response) -> Reply:
        return Reply(answer.status_code, answer.headers, answer.text)


@cache
def _trusted() -> ssl.SSLContext:
    """Loaded once: loading the trust store takes longer than a call to this machine."""
    return httpx.create_ssl_context(trust_env=False)
