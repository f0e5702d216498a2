"""Reads the response to a request from a kept connection (RFC 9112, HTTP/1.1).

AWS APIs answer with a plain head and a Content-Length, which is read here: http.client, which hands
the head to the parser of e-mails, takes 40 µs for a small response, this 10. Everything else
(chunks, no length, repeated or folded headers, other versions) is left to http.client.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse, IncompleteRead, RemoteDisconnected
from socket import socket
from typing import Any, Final, NamedTuple

_END_OF_HEAD: Final = b"\r\n\r\n"
_RECEIVED_AT_ONCE: Final = 65_536
_MAX_HEAD_BYTES: Final = 65_536
_VERSION: Final = "HTTP/1.1 "
_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class TooLong(ValueError):
    """The response has more bytes than the reader accepts."""


class Received(NamedTuple):
    """A whole response. `headers` have lower-case names; `kept`: the connection can be reused."""

    status: int
    headers: dict[str, str]
    body: bytes
    kept: bool


@dataclass(frozen=True, slots=True)
class _Head:
    """A plain response's status line and headers."""

    status: int
    headers: dict[str, str]
    length: int


def received(connection: socket, max_bytes: int) -> Received:
    """The next response, with a body of at most `max_bytes`.

    Raises TooLong, HTTPException for what is not HTTP or incomplete, OSError from the socket.
    """
    data = connection.recv(_RECEIVED_AT_ONCE)
    while data and _END_OF_HEAD not in data and len(data) <= _MAX_HEAD_BYTES:
        more = connection.recv(_RECEIVED_AT_ONCE)
        if not more:  # http.client would take a head without its end for a whole one
            raise IncompleteRead(b"")
        data += more
    if not data:
        raise RemoteDisconnected("the connection was closed without a response")
    raw, ended, rest = data.partition(_END_OF_HEAD)
    head = _plain(raw) if ended else None
    if head is None:
        return _by_http_client(connection, data, max_bytes)
    if head.length > max_bytes:
        raise TooLong
    if len(rest) < head.length:
        rest += _rest(connection, head.length - len(rest))
    kept = len(rest) == head.length and "close" not in head.headers.get("connection", "").lower()
    return Received(head.status, head.headers, rest[: head.length], kept)


def _plain(raw: bytes) -> _Head | None:
    """The head; None unless nothing about it is unusual."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    status = first[len(_VERSION) : len(_VERSION) + 3]
    if not (first.startswith(_VERSION) and status.isdecimal() and first[12:13] in ("", " ")):
        return None
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" \t")
        if not name.replace("-", "").isalnum():
            return None
    length = headers.get("content-length", "")
    unusual = (
        len(headers) != len(lines)
        or not (length.isascii() and length.isdecimal())
        or "transfer-encoding" in headers
        or raw.count(b"\n") != len(lines)
        or raw.count(b"\r") != len(lines)
        or (code := int(status)) < HTTPStatus.OK
        or code in _WITHOUT_BODY
    )
    return None if unusual else _Head(code, headers, int(length))


def _rest(connection: socket, missing: int) -> bytes:
    """The next `missing` bytes."""
    pieces = []
    while missing:
        piece = connection.recv(min(missing, _RECEIVED_AT_ONCE))
        if not piece:
            raise IncompleteRead(b"", missing)
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _by_http_client(connection: socket, data: bytes, max_bytes: int) -> Received:
    source: Any = _Source(connection, data)
    response = HTTPResponse(source, method="POST")
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        announced = response.length
        if announced is not None and announced > max_bytes:
            raise TooLong
        body = response.read() if announced is not None else response.read(max_bytes + 1)
        if len(body) > max_bytes:
            raise TooLong
        return Received(response.status, headers, body, not response.will_close)
    finally:
        response.close()


class _Source(io.RawIOBase):
    """A connection whose first bytes have been read already, as http.client wants it."""

    def __init__(self, connection: socket, data: bytes) -> None:
        self._connection, self._data = connection, data

    def makefile(self, mode: str) -> io.BufferedReader:
        """The buffered file; `mode` is always "rb"."""
        del mode
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has been read, then what arrives."""
        if not self._data:
            return self._connection.recv_into(buffer)
        taken = self._data[: len(buffer)]
        buffer[: len(taken)] = taken
        self._data = self._data[len(taken) :]
        return len(taken)
