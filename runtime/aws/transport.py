"""HTTP to one endpoint of AWS over kept connections, with botocore's exceptions.

Any failure to get a whole, intact response is a ConnectionError or HTTPClientError of botocore,
which the callers retry. Nothing is redirected, retried or compressed.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from select import POLLIN, poll
from socket import socket
from typing import Final, Literal, NamedTuple
from weakref import finalize
from zlib import crc32

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from runtime.aws.http_response import TooLong, received

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""Four times the largest answer in DynamoDB's own count (16 MB, BatchGetItem)."""
CHECKSUM: Final = "x-amz-crc32"


class UnusableResponse(HTTPClientError):
    """A response that arrived but cannot be used; the operation may have been executed."""

    fmt = "The response of {endpoint_url} cannot be used: {error}"


class Response(NamedTuple):
    """A whole response; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an AWS API is; `port` is None for the scheme's default."""

    scheme: Literal["http", "https"]
    host: str
    port: int | None = None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """For messages."""
        return f"{self.scheme}://{self.authority}/"


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts of one request, and how many idle connections are kept."""

    connect_seconds: float
    read_seconds: float
    connections: int


class Transport:
    """Sends `POST /` to an endpoint; never redirects, never retries. Threads may share it."""

    def __init__(self, endpoint: Endpoint, limits: Limits, ca_bundle: str) -> None:
        """`ca_bundle` is the file of trusted certificates, for https. A process reads it once."""
        self.endpoint, self._limits = endpoint, limits
        self._tls = _tls_context(ca_bundle) if endpoint.scheme == "https" else None
        # A deque's append and pop are atomic. The last connection used is the first used again.
        self._idle: deque[socket] = deque(maxlen=limits.connections)
        finalize(self, _close, self._idle)

    def send(self, headers: Mapping[str, str], body: bytes) -> Response:
        """The response to `POST /`, checked against its length and checksum.

        Raises botocore's exceptions for every failure.
        """
        connection = self._kept() or self._connected()
        url = self.endpoint.url
        kept = False
        try:
            connection.sendall(self._head(headers, len(body)) + body)
            status, answered, content, kept = received(connection, MAX_RESPONSE_BYTES)
        except TooLong:
            raise self._unusable(f"it has more than {MAX_RESPONSE_BYTES} bytes") from None
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=url, error=error) from error
        except (HTTPException, OSError) as error:
            # Without the request, which botocore adds: its headers are credentials.
            raise ConnectionClosedError(endpoint_url=url, error=error) from error
        finally:
            if kept and len(self._idle) < self._limits.connections:
                self._idle.append(connection)
            else:
                connection.close()
        return self._intact(Response(status, answered, content))

    def close(self) -> None:
        """Close the idle connections."""
        _close(self._idle)

    def _kept(self) -> socket | None:
        """A connection that is open and silent: what is readable was closed by the server."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not _is_readable(connection):
                return connection
            connection.close()

    def _connected(self) -> socket:
        host, port, seconds = self.endpoint.host, self.endpoint.port, self._limits.connect_seconds
        url = self.endpoint.url
        connection = (
            HTTPConnection(host, port, timeout=seconds)
            if self._tls is None
            else HTTPSConnection(host, port, timeout=seconds, context=self._tls)
        )
        try:
            connection.connect()
            connection.sock.settimeout(self._limits.read_seconds)
        except TimeoutError as error:
            connection.close()
            raise ConnectTimeoutError(endpoint_url=url, error=error) from error
        except ssl.SSLError as error:
            connection.close()
            raise SSLError(endpoint_url=url, error=error) from error
        except OSError as error:
            connection.close()
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        return connection.sock

    def _head(self, headers: Mapping[str, str], length: int) -> bytes:
        """The request's head; it is sent together with the body, in one packet if they fit."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = (
            f"POST / HTTP/1.1\r\n{lines}accept-encoding: identity\r\n"
            f"content-length: {length}\r\n\r\n"
        )
        assert head.count("\n") == len(headers) + 4, "a header has a line break"
        return head.encode("ascii")

    def _intact(self, response: Response) -> Response:
        expected = response.headers.get(CHECKSUM)
        if expected is not None and expected != str(actual := crc32(response.body)):
            raise self._unusable(f"its CRC32 is {actual}, not {expected}")
        return response

    def _unusable(self, reason: str) -> UnusableResponse:
        return UnusableResponse(endpoint_url=self.endpoint.url, error=reason)


def _close(connections: deque[socket]) -> None:
    while connections:
        connections.pop().close()


def _is_readable(connection: socket) -> bool:
    """Whether data or the end of the connection has arrived."""
    poller = poll()  # select() fails for descriptors above 1,023
    poller.register(connection, POLLIN)
    return bool(poller.poll(0))


@cache
def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    """As botocore's: TLS 1.2 or later, certificate and host name verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(ca_bundle)
    return context
