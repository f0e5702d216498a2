"""POST to an endpoint that a merchant has named, and trust it with nothing.

The host is resolved once, all of its addresses are judged, and the connection goes to an address
that was judged, never to a name again. No proxy, no redirect, no kept connection; a clock of its
own shuts the socket, so that no way of answering slowly lasts longer.
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
"""One attempt in all: look-up, connection, TLS, request, status and headers of the answer."""
CONNECT_SECONDS: Final = 4.0
"""One address; two that do not answer leave time for a third."""
MAX_ADDRESSES: Final = 3
"""Of one name, tried one after the other."""
MAX_INTERIM: Final = 8
"""Interim answers (1xx) that are passed over before the one that counts."""
BROKEN: Final = "the attempt was not completed"
"""Why there is no status, where we do not know better ourselves."""
LOOKUP_THREADS: Final = 16
USER_AGENT: Final = "payments-webhooks/1.0"
HTTPS_PORT: Final = 443

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[Address]]
Connect = Callable[[Address, int, float], socket.socket]


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of an attempt: the status, or why there is none (for the merchant to read)."""

    status: int | None = None
    retry_after: str | None = None
    failure: str | None = None


class _Failed(Exception):
    """The attempt ends without an answer; the message is for the merchant."""


def _resolved(host: str, port: int) -> Sequence[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(each[4][0]) for each in found))


def _connected(address: Address, port: int, seconds: float) -> socket.socket:
    connection = socket.create_connection((str(address), port), timeout=seconds)
    connection.settimeout(None)  # from here on the alarm counts
    return connection


@cache
def _lookups() -> ThreadPoolExecutor:
    """A look-up under way cannot be called off: one that takes too long ends in its own thread."""
    return ThreadPoolExecutor(max_workers=LOOKUP_THREADS)


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


@dataclass(frozen=True)
class WebhookHttp:
    """Sends webhooks. `allow_local` lets them go to http on this machine: the local stage only.

    `resolve` and `connect` are the network; tests put another in their place.
    """

    allow_local: bool = False
    resolve: Resolve = _resolved
    connect: Connect = _connected
    tls: Callable[[], ssl.SSLContext] = _tls_context
    total_seconds: float = TOTAL_SECONDS

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send `body` once. Every failure of the other side is a reply, never an exception.

        Nothing is read of an answer's body.
        """
        try:
            return self._post(url, headers, body)
        except _Failed as failed:
            return Reply(failure=str(failed))
        except (OSError, http.client.HTTPException, ValueError) as error:
            # What they send decides what the library raises, and its message may repeat the URL.
            logger.error("an attempt ended unforeseen", error=type(error).__name__)
            return Reply(failure=BROKEN)

    def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        fault = url_problem(url, allow_local=self.allow_local)
        if fault is not None:
            raise _Failed(f"the URL {fault}")
        parts = urlsplit(url)
        host, deadline = parts.hostname or "", time.monotonic() + self.total_seconds
        is_local = parts.scheme == "http"
        port = parts.port or HTTPS_PORT
        addresses = [ip_address("127.0.0.1")] if is_local else self._judged(host, port, deadline)
        raw = self._first_that_connects(addresses, port, deadline)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with _alarm(raw, deadline) as rung:
            try:
                with raw if is_local else self._secured(raw, host) as connection:
                    reply = _exchanged(connection, parts.netloc, target, headers, body)
                    if rung.is_set():  # to the library, headers that end early are complete
                        raise _Failed(self._too_late())
                    return reply
            except (OSError, http.client.HTTPException) as error:
                late = rung.is_set()
                raise _Failed(self._too_late() if late else _reason(error)) from error

    def _too_late(self) -> str:
        return f"no answer within {self.total_seconds:g} s"

    def _judged(self, host: str, port: int, deadline: float) -> list[Address]:
        """The addresses of `host`, if every one of them may be called."""
        lookup = _lookups().submit(self.resolve, host, port)
        try:
            addresses = lookup.result(timeout=max(deadline - time.monotonic(), 0))
        except LookupTimeout as slow:
            lookup.cancel()  # while it waits for a thread: the next ones need not wait for it
            raise _Failed("the host name could not be resolved in time") from slow
        except (OSError, UnicodeError) as error:
            raise _Failed("the host name has no address") from error
        if not addresses:
            raise _Failed("the host name has no address")
        if not all(is_public(address) for address in addresses):
            # One bad address spoils them all: which one is connected to is the name's choice.
            raise _Failed("the host name has an address that is not public")
        # A function without a VPC has no way to an IPv6 address.
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
        """TLS with the name that was asked for, whatever address the connection goes to."""
        with raw:  # which the other takes over, unless it fails
            return self.tls().wrap_socket(raw, server_hostname=host)


class _Answer(http.client.HTTPResponse):
    """An answer whose interim ones, a few of them, are passed over (RFC 9110 section 15.2).

    The library passes over 100 alone, and that without end. 101 is no interim answer to one who
    has not asked for another protocol: nothing in ours follows it.
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
    """One request, and the head of its answer: how long a body is said to be is theirs to say."""
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
def _alarm(connection: socket.socket, deadline: float) -> Iterator[threading.Event]:
    """Shuts the connection at `deadline`, and says that it did.

    A timeout of the socket would begin anew with every byte. What is shut is a duplicate, since
    TLS takes the descriptor over.
    """
    rung = threading.Event()
    handle = connection.dup()

    def ring() -> None:
        rung.set()
        with suppress(OSError):  # it has been closed by the other side
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(deadline - time.monotonic(), 0), ring)
    timer.daemon = True
    timer.start()
    try:
        yield rung
    finally:
        timer.cancel()
        handle.close()


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate does not hold: {error.verify_message}"
        case ssl.SSLError():
            return "no TLS connection could be made"
        case http.client.RemoteDisconnected() | ConnectionError():
            return "the connection was closed without a response"
        case http.client.HTTPException():
            return "the response is not HTTP"
        case _:
            return "the connection failed"
