"""A DynamoDB that answers at once: with recorded answers of an engine, from memory.

botocore's clients send through urllib3's connection pools, the lean client through its transport.
Both are replaced where the network begins, at a cost of a few microseconds.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import HTTPResponse

from runtime.aws.transport import Response, Transport

_TARGET: Final = "x-amz-target"
_READS: Final = frozenset({"GetItem", "Query", "BatchGetItem", "TransactGetItems"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to DynamoDB and its response: the operation, the JSON sent, and what came back."""

    operation: str
    body: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    def response(self) -> HTTPResponse:
        """The response, as urllib3 returns it to a client that reads it itself."""
        return HTTPResponse(
            io.BytesIO(self.content), dict(self.headers), self.status, preload_content=False
        )


@dataclass
class Recording:
    """The exchanges of one request to the API, in order.

    A read gets the answer to the same read. A write has a new idempotency key each time, and
    gets the answers to writes of its kind in order, repeatedly.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    _by_body: dict[str, Exchange] = field(default_factory=dict)
    _by_operation: dict[str, list[Exchange]] = field(default_factory=dict)
    _answered: dict[str, int] = field(default_factory=dict)

    def add(self, exchange: Exchange) -> None:
        """Record an answer of the engine."""
        self.exchanges.append(exchange)
        self._by_operation.setdefault(exchange.operation, []).append(exchange)
        if exchange.operation in _READS:
            self._by_body[exchange.body] = exchange

    def answer(self, operation: str, body: str) -> Exchange:
        """The answer to a request. Raises KeyError for an operation that was never recorded."""
        same = self._by_body.get(body)
        if same is not None:
            return same
        exchanges = self._by_operation[operation]
        place = self._answered.get(operation, 0)
        self._answered[operation] = place + 1
        return exchanges[place % len(exchanges)]


@contextmanager
def recorded() -> Iterator[Recording]:
    """Record DynamoDB's answers while the block runs."""
    recording = Recording()
    send, send_lean = HTTPConnectionPool.urlopen, Transport.send

    def urlopen(
        pool: HTTPConnectionPool,
        method: str,
        url: str,
        body: bytes | str | None = None,
        headers: Mapping[str, Any] | None = None,
        **request: Any,
    ) -> HTTPResponse:
        response = send(pool, method, url, body, headers, **request)
        content = response.read(decode_content=False)
        answered = dict(response.headers)
        exchange = Exchange(*_asked(body, headers), response.status, answered, content)
        recording.add(exchange)
        return exchange.response()

    def post(transport: Transport, headers: Mapping[str, str], body: bytes) -> Response:
        response = send_lean(transport, headers, body)
        operation, text = _asked(body, headers)
        recording.add(Exchange(operation, text, *response))
        return response

    with _in_place_of_the_network(urlopen, post):
        yield recording


@contextmanager
def replayed(recording: Recording) -> Iterator[None]:
    """Answer from a recording while the block runs."""

    def urlopen(
        _: HTTPConnectionPool,
        method: str,
        url: str,
        body: bytes | str | None = None,
        headers: Mapping[str, Any] | None = None,
        **request: Any,
    ) -> HTTPResponse:
        del method, url, request
        return recording.answer(*_asked(body, headers)).response()

    def post(_: Transport, headers: Mapping[str, str], body: bytes) -> Response:
        exchange = recording.answer(*_asked(body, headers))
        return Response(exchange.status, exchange.headers, exchange.content)

    with _in_place_of_the_network(urlopen, post):
        yield


def _asked(body: bytes | str | None, headers: Mapping[str, Any] | None) -> tuple[str, str]:
    """The operation, and the JSON that was sent."""
    # Not by a copy of all headers, which would be two percent of what is measured.
    target = next(value for name, value in (headers or {}).items() if name.lower() == _TARGET)
    return _text(target).rpartition(".")[2], _text(body or "")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def _in_place_of_the_network(
    urlopen: Callable[..., HTTPResponse], post: Callable[..., Response]
) -> Iterator[None]:
    send, send_lean = HTTPConnectionPool.urlopen, Transport.send
    HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign]
    Transport.send = post  # type: ignore[method-assign]
    try:
        yield
    finally:
        HTTPConnectionPool.urlopen = send  # type: ignore[method-assign]
        Transport.send = send_lean  # type: ignore[method-assign]
