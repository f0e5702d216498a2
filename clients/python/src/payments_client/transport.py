"""The layer below the generated code: it signs in, repeats, and raises an error for each refusal.

The generated code only ever sees answers below 300, so it never parses what is not an answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import httpx

from payments_client.addresses import checked_token
from payments_client.errors import ConnectionFailed, error_of
from payments_client.retries import (
    RetryPolicy,
    repeats_safely,
    retries_answer,
    seconds_of_retry_after,
)

KEY_HEADER: Final = "Idempotency-Key"
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures before the first byte: any request may be repeated after them."""
LOST: Final = (
    httpx.TimeoutException,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
    httpx.DecodingError,
)
"""Failures after which the request may have been carried out."""

TokenSource = Callable[[], str]


class Attempts:
    """All attempts of one request: what is sent, and what follows from each answer or failure."""

    def __init__(
        self,
        request: httpx.Request,
        policy: RetryPolicy,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`request.content` must have been read. A POST without a key gets a new one."""
        self._request, self._policy, self._clock, self._chance = request, policy, clock, chance
        self._started = clock()
        self._count = 0
        self.key = _key_of(request)
        self._safe = repeats_safely(request.method, self.key)
        self._timeouts = dict(request.extensions.get("timeout") or {})

    def begin(self, token: str) -> None:
        """Prepare the request for its next attempt, which may not outlast the limit."""
        self._count += 1
        self._request.headers["Authorization"] = f"Bearer {checked_token(token)}"
        if self._count > 1 and self._timeouts:
            left = max(1.0, self._policy.limit_seconds - self._elapsed())
            self._request.extensions["timeout"] = {
                name: left if seconds is None else min(seconds, left)
                for name, seconds in self._timeouts.items()
            }

    def after_answer(self, response: httpx.Response) -> float | None:
        """None if this is the answer, else seconds until the next attempt. Raises an ApiError.

        The response must have been read.
        """
        if response.status_code < 300:
            return None
        error = error_of(response.status_code, response.headers, response.content)
        error.idempotency_key = self.key
        if retries_answer(error.status, error.code, safe=self._safe):
            asked = seconds_of_retry_after(response.headers.get("retry-after"))
            pause = self._pause(asked)
            if pause is not None:
                return pause
        raise error

    def after_failure(self, failure: httpx.RequestError) -> float:
        """Seconds until the next attempt. Raises ConnectionFailed."""
        if isinstance(failure, NEVER_SENT) or (self._safe and isinstance(failure, LOST)):
            pause = self._pause(None)
            if pause is not None:
                return pause
        raise ConnectionFailed(
            f"{self._request.method} {self._request.url.path} got no answer after {self._count} "
            f"attempts: {type(failure).__name__}",
            attempts=self._count,
            idempotency_key=self.key,
        ) from failure

    def _pause(self, retry_after: float | None) -> float | None:
        return self._policy.pause(self._count, self._elapsed(), self._chance(), retry_after)

    def _elapsed(self) -> float:
        return self._clock() - self._started


class RetryingTransport(httpx.BaseTransport):
    """Sends through `inner`; the result of a request is an answer below 300, or an error."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        token: TokenSource,
        policy: RetryPolicy,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner, self._token, self._policy, self._sleep = inner, token, policy, sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, as often as needed. Raises a PaymentsError."""
        request.read()
        attempts = Attempts(request, self._policy)
        while True:
            attempts.begin(self._token())
            try:
                response = self._inner.handle_request(request)
                try:
                    response.read()
                finally:
                    response.close()
            except httpx.RequestError as failure:
                pause = attempts.after_failure(failure)
            else:
                wait = attempts.after_answer(response)
                if wait is None:
                    return response
                pause = wait
            self._sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class AsyncRetryingTransport(httpx.AsyncBaseTransport):
    """As RetryingTransport, for asyncio."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        token: TokenSource,
        policy: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inner, self._token, self._policy, self._sleep = inner, token, policy, sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, as often as needed. Raises a PaymentsError."""
        await request.aread()
        attempts = Attempts(request, self._policy)
        while True:
            attempts.begin(self._token())
            try:
                response = await self._inner.handle_async_request(request)
                try:
                    await response.aread()
                finally:
                    await response.aclose()
            except httpx.RequestError as failure:
                pause = attempts.after_failure(failure)
            else:
                wait = attempts.after_answer(response)
                if wait is None:
                    return response
                pause = wait
            await self._sleep(pause)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _key_of(request: httpx.Request) -> str | None:
    """The key in the header or the body; a POST that has none gets one in its header."""
    key: str | None = request.headers.get(KEY_HEADER)
    if key is None and request.method == "POST":
        key = _key_in_body(request.content)
        if key is None:
            key = str(uuid.uuid4())
            request.headers[KEY_HEADER] = key
    return key


def _key_in_body(content: bytes) -> str | None:
    if b'"idempotency_key"' not in content:
        return None
    try:
        body = json.loads(content)
    except ValueError:
        return None
    key = body.get("idempotency_key") if isinstance(body, dict) else None
    return key if isinstance(key, str) else None
