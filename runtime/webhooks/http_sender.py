"""POSTs to endpoints chosen by merchants, which are not trusted.

The host is resolved once, all its addresses are checked, and the connection goes to a checked
address, without a second lookup. No proxies, redirects or keep-alive. A timer closes the socket at
the deadline, so that slow responses cannot exceed it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookupTimeout
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

import certifi

from runtime.core.observability import logger
from runtime.merchants.webhook_url import is_public, url_problem

TOTAL_SECONDS: Final = 10.0
"""Total time of one attempt: lookup, connection, TLS, request, response status and headers."""
CONNECT_SECONDS: Final = 4.0
"""Per address; two addresses that time out leave time for a third."""
MAX_ADDRESSES: Final = 3
"""Addresses of a name to try, one after the other."""
MAX_INTERIM: Final = 8
"""Interim responses (1xx) to skip before the final one."""
BROKEN: Final = "the attempt was not completed"
"""Failure reason of an unexpected error."""
LOOKUP_THREADS: Final = 16
USER_AGENT: Final = "payments-webhooks/1.0"
HTTPS_PORT: Final = 443

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[Address]]
Connect = Callable[[Address, int, float], socket.socket]


@dataclass(frozen=True, slots=True)
class Reply:
    """Result of an attempt: the status, or the failure as shown to the merchant."""

    status: int | None = None
    retry_after: str | None = None
    failure: str | None = None


class _Failed(Exception):
    """The attempt ended without a response; the message is shown to the merchant."""


def _resolved(host: str, port: int) -> Sequence[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(each[4][0]) for each in found))


def _connected(address: Address, port: int, seconds: float) -> socket.socket:
    connection = socket.create_connection((str(address), port), timeout=seconds)
    connection.settimeout(None)  # the deadline timer takes over
    return connection


@cache
def _lookups() -> ThreadPoolExecutor:
    """Lookups cannot be canceled: one that takes too long finishes in its own thread."""
    return ThreadPoolExecutor(max_workers=LOOKUP_THREADS)


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


@dataclass(frozen=True)
class WebhookHttp:
    """Sends webhooks. `allow_local` permits http to this machine, for the local stage only.

    `resolve` and `connect` are the network; tests replace them.
    """

    allow_local: bool = False
    resolve: Resolve = _resolved
    connect: Connect = _connected
    tls: Callable[[], ssl.SSLContext] = _tls_context
    total_seconds: float = TOTAL_SECONDS

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send `body` once. Every failure of the receiver is a reply, never an exception.

        The response body is not read.
        """
        try:
            return self._post(url, headers, body)
        except _Failed as failed:
            return Reply(failure=str(failed))
        except (OSError, http.client.HTTPException, ValueError) as error:
            # The receiver's data determines the exception; its message may contain the URL.
            logger.error("an attempt failed unexpectedly", error=type(error).__name__)
            return Reply(failure=BROKEN)

    def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        fault = url_problem(url, allow_local=self.allow_local)
        if fault is not None:
            raise _Failed(f"the URL {fault}")
        parts = urlsplit(url)
        host, deadline = parts.hostname or "", time.monotonic() + self.total_seconds
        is_local = parts.scheme == "http"
        port = parts.port or HTTPS_PORT
        addresses = [ip_address("127.0.0.1")] if is_local else self._checked(host, port, deadline)
        raw = self._first_that_connects(addresses, port, deadline)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with _deadline(raw, deadline) as expired:
            try:
                with raw if is_local else self._secured(raw, host) as connection:
                    reply = _exchanged(connection, parts.netloc, target, headers, body)
                    if expired.is_set():  # the library takes truncated headers as complete
                        raise _Failed(self._too_late())
                    return reply
            except (OSError, http.client.HTTPException) as error:
                late = expired.is_set()
                raise _Failed(self._too_late() if late else _reason(error)) from error

    def _too_late(self) -> str:
        return f"no answer within {self.total_seconds:g} s"

    def _checked(self, host: str, port: int, deadline: float) -> list[Address]:
        """The addresses of `host`, if all of them are public."""
        lookup = _lookups().submit(self.resolve, host, port)
        try:
            addresses = lookup.result(timeout=max(deadline - time.monotonic(), 0))
        except LookupTimeout as slow:
            lookup.cancel()  # if it has not started, the next lookups need not wait for it
            raise _Failed("the host name could not be resolved in time") from slow
        except (OSError, UnicodeError) as error:
            raise _Failed("the host name has no address") from error
        if not addresses:
            raise _Failed("the host name has no address")
        if not all(is_public(address) for address in addresses):
            # Reject the name for one bad address: DNS chooses which one is used.
            raise _Failed("the host name has an address that is not public")
        # A function without a VPC has no IPv6 route.
        return sorted(addresses, key=lambda address: address.version)[:MAX_ADDRESSES]

    def _first_that_connects(
        self, addresses: Sequence[Address], port: int, deadline: float
    ) -> socket.socket:
        last: OSError | None = None
        for address in addresses:
            seconds = min(CONNECT_SECONDS, deadline - time.monotonic())
            if seconds <= 0:
                break
            try:
                return self.connect(address, port, seconds)
            except OSError as error:
                last = error
        raise _Failed("no connection could be made") from last

    def _secured(self, raw: socket.socket, host: str) -> ssl.SSLSocket:
        """TLS verified for the host name, whatever the address."""
        with raw:  # wrap_socket takes over the descriptor unless it fails
            return self.tls().wrap_socket(raw, server_hostname=host)


class _Answer(http.client.HTTPResponse):
    """A response that skips a limited number of interim ones (RFC 9110 section 15.2).

    The library skips only 100, and without a limit. 101 is final here: the request did not ask for
    another protocol.
    """

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= HTTPStatus.OK or status == HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise _Failed("the server sent too many interim responses (1xx)")


def _exchanged(
    connection: socket.socket, netloc: str, target: str, headers: Mapping[str, str], body: bytes
) -> Reply:
    """Send one request and read the head of the response; its body is ignored."""
    client = http.client.HTTPConnection(netloc)
    client.sock = connection
    client.putrequest("POST", target, skip_accept_encoding=True)
    given = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": USER_AGENT,
        "connection": "close",
        **headers,
    }
    for name, value in given.items():
        client.putheader(name, value)
    client.endheaders(body)
    with _Answer(connection, method="POST") as answer:
        answer.begin()
        return Reply(status=answer.status, retry_after=answer.getheader("retry-after"))


@contextmanager
def _deadline(connection: socket.socket, deadline: float) -> Iterator[threading.Event]:
    """Shut the connection down at `deadline`; the event tells whether that happened.

    A socket timeout would restart with every byte. The timer shuts down a duplicate, because TLS
    takes over the original descriptor.
    """
    expired = threading.Event()
    handle = connection.dup()

    def expire() -> None:
        expired.set()
        with suppress(OSError):  # closed by the other side
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(deadline - time.monotonic(), 0), expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        handle.close()


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {error.verify_message}"
        case ssl.SSLError():
            return "the TLS connection failed"
        case http.client.RemoteDisconnected() | ConnectionError():
            return "the connection was closed without a response"
        case http.client.HTTPException():
            return "the response is not HTTP"
        case _:
            return "the connection failed"
