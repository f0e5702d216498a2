"""The client of the generated operations, on top of the transport that retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from payments_client.addresses import checked_address
from payments_client.answers import answer
from payments_client.generated.api.payments import get_payment
from payments_client.generated.client import AuthenticatedClient
from payments_client.generated.models import CreatedPayment, Payment, PaymentDetail
from payments_client.outcomes import LIMIT_SECONDS, Polling, poll, poll_async
from payments_client.retries import RetryPolicy
from payments_client.transport import AsyncRetryingTransport, RetryingTransport

TIMEOUT_SECONDS: Final = 35.0
"""API Gateway gives up a request after 30 s; one attempt waits a little longer."""
CONNECT_TIMEOUT_SECONDS: Final = 5.0


def connect(
    base_url: str,
    token: str | Callable[[], str],
    *,
    policy: RetryPolicy | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    proxy: str | None = None,
) -> AuthenticatedClient:
    """A client for the generated operations: `create_payment.sync(client=connect(…), body=…)`.

    `base_url` is the API's address without `/v1`. `token` is a token, an API key, or a function
    that returns the current one and is called for every attempt. `timeout_seconds` is for one
    attempt. Proxies in the environment are not used, only `proxy`. Use the client in a `with`
    block, or make one for the life of the process; threads may share it.
    Its methods `with_headers`, `with_cookies` and `with_timeout` make clients without the token
    and without retries: call `connect` again instead.

    Raises ValueError for an address that is not https, unless it is on this machine.
    """
    address = checked_address(base_url)
    source = token if callable(token) else lambda: token
    chosen = policy or RetryPolicy()
    timeout = httpx.Timeout(timeout_seconds, connect=CONNECT_TIMEOUT_SECONDS)
    # The generated client never sees the token, so it cannot appear in its representation.
    client = AuthenticatedClient(base_url=address, token="", raise_on_unexpected_status=True)
    client.set_httpx_client(
        httpx.Client(
            base_url=address,
            timeout=timeout,
            transport=RetryingTransport(httpx.HTTPTransport(proxy=proxy), source, chosen),
        )
    )
    client.set_async_httpx_client(
        httpx.AsyncClient(
            base_url=address,
            timeout=timeout,
            transport=AsyncRetryingTransport(httpx.AsyncHTTPTransport(proxy=proxy), source, chosen),
        )
    )
    return client


def wait_for_outcome(
    client: AuthenticatedClient,
    payment: CreatedPayment | Payment | PaymentDetail,
    limit_seconds: float = LIMIT_SECONDS,
) -> PaymentDetail:
    """The payment once its outcome is known.

    Reads it until the processor has confirmed it and its captures, refunds and voids (202).
    Raises OutcomeUnknown after `limit_seconds`.
    """
    return poll(lambda: answer(get_payment.sync(payment.id, client=client)), Polling(limit_seconds))


async def wait_for_outcome_async(
    client: AuthenticatedClient,
    payment: CreatedPayment | Payment | PaymentDetail,
    limit_seconds: float = LIMIT_SECONDS,
) -> PaymentDetail:
    """What `wait_for_outcome` does, for asyncio."""

    async def read() -> PaymentDetail:
        return answer(await get_payment.asyncio(payment.id, client=client))

    return await poll_async(read, Polling(limit_seconds))
