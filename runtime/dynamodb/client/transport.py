"""HTTP to one DynamoDB endpoint over kept connections, with botocore's exceptions.

Any failure to get a whole, intact response is a ConnectionError or HTTPClientError of botocore,
which the store retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from zlib import crc32

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
from urllib3 import exceptions as urllib3_errors
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse
from urllib3.util.ssl_ import create_urllib3_context

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""Four times the largest answer in DynamoDB's own count (16 MB, BatchGetItem)."""
CHECKSUM: Final = "x-amz-crc32"
_NO_RETRIES: Final = Retry(False)


class UnusableResponse(HTTPClientError):
    """A response that arrived but cannot be used; the operation may have been executed."""

    fmt = "The response of {endpoint_url} cannot be used: {error}"


class HttpResponse(NamedTuple):
    """A whole response; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where DynamoDB is; `port` is None for the scheme's default."""

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


class _OneWrite(HTTPConnection):
    """Sends headers and body in one write, so in one packet and one TLS record if they fit.

    urllib3 writes them one after the other, which costs a second system call (40 µs).
    """

    _held: list[bytes] | None = None

    def request(self, *arguments: Any, **options: Any) -> None:
        """As urllib3, in one write."""
        held = self._held = []
        try:
            super().request(*arguments, **options)
        finally:
            self._held = None
        self.send(b"".join(held))

    def send(self, data: Any) -> None:
        """Send, or hold back until the request is complete."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)


class _OneWriteTls(_OneWrite, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _OneWrite


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _OneWriteTls


class Transport:
    """Sends `POST /` to an endpoint; never redirects, never retries. Threads may share it."""

    def __init__(self, endpoint: Endpoint, limits: Limits, ca_bundle: str) -> None:
        """`ca_bundle` is the file of trusted certificates, read once, for https."""
        self.endpoint = endpoint
        timeout = Timeout(connect=limits.connect_seconds, read=limits.read_seconds)
        host, port, kept = endpoint.host, endpoint.port, limits.connections
        if endpoint.scheme == "https":
            # botocore loads the bundle again for each connection; that takes milliseconds.
            context = create_urllib3_context()
            context.load_verify_locations(ca_bundle)
            self._pool: HTTPConnectionPool = _TlsPool(
                host, port, timeout, maxsize=kept, ssl_context=context, cert_reqs="CERT_REQUIRED"
            )
        else:
            self._pool = _Pool(host, port, timeout, maxsize=kept)

    def send(self, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """The response to `POST /`, checked against its length and checksum.

        Raises botocore's exceptions for every failure.
        """
        url = self.endpoint.url
        try:
            response = self._pool.urlopen(
                "POST",
                "/",
                body=body,
                headers=headers,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
            content = self._content(response)
        except urllib3_errors.SSLError as error:
            raise SSLError(endpoint_url=url, error=error) from error
        except urllib3_errors.NewConnectionError as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        except urllib3_errors.ConnectTimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=url, error=error) from error
        except urllib3_errors.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except urllib3_errors.ProtocolError as error:
            # Without the request, which botocore adds: its headers are credentials.
            raise ConnectionClosedError(endpoint_url=url, error=error) from error
        except (urllib3_errors.HTTPError, OSError) as error:
            raise HTTPClientError(error=error) from error
        return self._intact(response, content)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _content(self, response: BaseHTTPResponse) -> bytes:
        announced = response.length_remaining
        if announced is not None and announced <= MAX_RESPONSE_BYTES:
            return response.read()
        content = b"" if announced else response.read(MAX_RESPONSE_BYTES + 1)
        if announced or len(content) > MAX_RESPONSE_BYTES:
            response.close()
            raise self._unusable(f"it has more than {MAX_RESPONSE_BYTES} bytes")
        return content

    def _intact(self, response: BaseHTTPResponse, content: bytes) -> HttpResponse:
        headers = {name.lower(): value for name, value in response.headers.items()}
        expected = headers.get(CHECKSUM)
        if expected is not None and expected != str(crc32(content)):
            raise self._unusable(f"its CRC32 is {crc32(content)}, not {expected}")
        return HttpResponse(response.status, headers, content)

    def _unusable(self, reason: str) -> UnusableResponse:
        return UnusableResponse(endpoint_url=self.endpoint.url, error=reason)
