"""Sends example requests to a simulated platform and notes what it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypedDict, Unpack
from urllib.parse import urlencode

from runtime.api.document.operations import FORM
from runtime.api.endpoints import ENDPOINTS
from runtime.http.authorizer_context import Context
from runtime.payments.processors.sandbox.events import SIGNATURE_HEADER, sign_sandbox_event
from simulation.outside import BEGINNING
from simulation.platform.http import OPERATOR, HttpRequest, HttpResponse
from simulation.platform.settling import prove
from simulation.platform.world import Platform

TICK_SECONDS: Final = 10.0
"""Each request begins at a multiple: so recorded times do not depend on how long anything took."""
SANDBOX_SECRET: Final = "sandbox-secret-of-the-shop"  # noqa: S105 - of a simulated sandbox
_ENDPOINTS: Final = {endpoint.operation: endpoint for endpoint in ENDPOINTS}


class Asked(TypedDict, total=False):
    """A request: its path parameters, query and body, who sends it, and the expected status.

    Without `by` it is the merchant; without `expect` the operation's first success.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    form: Mapping[str, str]
    by: Context
    expect: int


class Book:
    """What was asked and answered, in order. `shop` is the token of the merchant of the examples.

    `known` keeps ids for later steps, by a name of the step's own.
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.shop: Context = OPERATOR
        self.known: dict[str, Any] = {}
        self.requests: list[dict[str, Any]] = []
        self._sent = 0

    def example(self, operation: str, title: str, **asked: Unpack[Asked]) -> Any:
        """Send a request and record it with its answer, whose body is returned."""
        path, query, body = asked.get("path", {}), asked.get("query", {}), asked.get("body")
        endpoint = _ENDPOINTS[operation]
        expected = asked.get("expect") or int(next(iter(endpoint.answers)))
        if body is None and endpoint.body is not None:
            body = {}
        headers = {}
        if endpoint.idempotent != "no":
            headers["idempotency-key"] = f"example-{self._sent}"
        sent: dict[str, Any] = {"body": body}
        if endpoint.form is not None:
            headers["content-type"] = FORM
            sent = {"raw": urlencode(asked.get("form", {})).encode()}
        answer = self._send(
            endpoint.method,
            endpoint.path.format_map(path),
            query,
            headers,
            **sent,
            credential=None if endpoint.public else asked.get("by") or self.shop,
        )
        assert answer.status == expected, f"{operation}, {title}: {answer.status} {answer.text}"
        is_json = "json" in answer.headers.get("Content-Type", "") and operation != "openapi"
        self.requests.append(
            {
                "operation": operation,
                "key": re.sub(r"\W+", "_", title.lower()).strip("_"),
                "title": title,
                "status": answer.status,
                "path": dict(path),
                "query": dict(query),
                "body": body,
                "answer": answer.body if is_json and answer.text else None,
            }
        )
        return answer.body

    def send(self, operation: str, body: Any, *, at_once: bool = False) -> None:
        """Send a request of the merchant that is not recorded; `at_once`: before the next tick."""
        endpoint = _ENDPOINTS[operation]
        key = {"idempotency-key": f"example-{self._sent}"}
        answer = self._send(
            endpoint.method, endpoint.path, {}, key, at_once, body=body, credential=self.shop
        )
        assert answer.is_success, answer.text

    def notification(self, title: str, event: Mapping[str, Any], *, record: bool = True) -> Any:
        """Send a signed notification of the sandbox about the merchant's payments."""
        now = self.now_seconds()
        said = {**event, "created": now}
        raw = json.dumps(said).encode()
        signature = {SIGNATURE_HEADER: sign_sandbox_event(raw, SANDBOX_SECRET, now)}
        query = {"merchant_id": self.known["merchant"]}
        path = "/v1/processor-events/sandbox"
        answer = self._send("POST", path, query, signature, raw=raw)
        assert answer.status == 200, f"{title}: {answer.text}"
        if record:
            self.requests.append(
                {
                    "operation": "receiveProcessorEvent",
                    "key": re.sub(r"\W+", "_", title.lower()).strip("_"),
                    "title": title,
                    "status": answer.status,
                    "path": {"processor": "sandbox"},
                    "query": query,
                    "body": said,
                    "answer": answer.body,
                }
            )
        return answer.body

    def upload(self, link: str, content: bytes) -> None:
        """Use a link of the API to store a file."""
        assert self.platform.follow(link, content) is not None, "the link does not work"

    def open_stripe_account(self, api_key: str) -> None:
        """From now on Stripe knows this key."""
        self.platform.open_stripe_account(api_key)

    def prove(self) -> None:
        """Verify the ledger in full."""
        prove(self.platform)

    def sleep(self, seconds: float) -> None:
        """Let this much time go by."""
        self.platform.sleep(seconds)

    def now_seconds(self) -> int:
        """The time, in seconds of the epoch."""
        return int(BEGINNING.timestamp() + self.platform.scheduler.now)

    def wait(self, seconds: float = TICK_SECONDS) -> None:
        """Let everything that goes on in the background go on, up to the next tick."""
        now = self.platform.scheduler.now
        ticks = -(-(now + seconds) // TICK_SECONDS)
        self.platform.sleep(ticks * TICK_SECONDS - now)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        at_once: bool = False,
        **content: Any,
    ) -> Any:
        if not at_once:
            self.wait()
        self._sent += 1
        return self.ask(
            HttpRequest("shop/1.0", method, path, query=query, headers=headers, **content)
        )

    def ask(self, request: HttpRequest) -> HttpResponse:
        """One request and its answer."""
        return self.platform.api(request)
