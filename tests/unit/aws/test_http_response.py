"""Responses read by us and by http.client: the same result or refusal, however they arrive."""

from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.aws import http_response
from runtime.aws.http_response import Received, TooLong, received

MOST = 1000
PLAIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}"
)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 500",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 Low",
        b"HTTP/2 200",
        b"\xb2\xb3\xb9",
        b"",
    ]
)
HEADERS = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 2",
            b"content-length:3",
            b"Content-Length: 0",
            b"Content-Length: -1",
            b"Content-Length: +2",
            b"Content-Length: 2, 2",
            b"Content-Length: 5000",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"Connection: Keep-Alive",
            b"x-amz-crc32: 2745614147",
            b"X-Name: a value",
            b"X-Name: another",
            b" folded",
            b"no colon",
            b"Spaced : value",
            b": nameless",
            b"X-Break: a\rb",
            b"X-Feed: a\nb",
            b"X-Latin: \xfc",
        ]
    ),
    max_size=5,
)
BODIES = st.sampled_from(
    [b"", b"{}", b"{}x", b"{", b"2\r\n{}\r\n0\r\n\r\n", b"zz\r\n", b"{}" * 600]
)


class Peer:
    """A socket that delivers `data` in pieces of `size` bytes, then its end."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream, self._size = io.BytesIO(data), size

    def recv(self, most: int) -> bytes:
        return self._stream.read(min(most, self._size))

    def recv_into(self, buffer: Any) -> int:
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def makefile(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return self._stream


def ours(data: bytes, size: int = 10**6) -> Received:
    peer: Any = Peer(data, size)
    return received(peer, MOST)


def by_http_client(data: bytes) -> Received:
    peer: Any = Peer(data, 10**6)
    response = HTTPResponse(peer, method="POST")
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    if response.length is not None and response.length > MOST:
        raise TooLong
    body = response.read() if response.length is not None else response.read(MOST + 1)
    if len(body) > MOST:
        raise TooLong
    return Received(response.status, headers, body, not response.will_close)


def outcome(read: Any, *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except HTTPException as error:
        return "not HTTP, or incomplete" if not isinstance(error, RemoteDisconnected) else "closed"
    except TooLong:
        return "too long"


@given(STATUS_LINES, HEADERS, BODIES, st.integers(1, 200))
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 2"], b"{}", 1)
@example(b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n", 3)
def test_a_response_is_read_as_http_client_reads_it(
    status_line: bytes, headers: list[bytes], body: bytes, size: int
) -> None:
    data = b"\r\n".join([status_line, *headers, b"", b""]) + body
    found, expected = outcome(ours, data, size), outcome(by_http_client, data)
    if isinstance(expected, Received) and len(body) > len(expected.body):
        # http.client forgets bytes after the response; a connection that has them is not reused.
        expected = expected._replace(kept=found.kept)
    assert found == expected


@pytest.mark.parametrize("cut", range(len(PLAIN)))
def test_a_response_that_ends_early_is_refused(cut: int) -> None:
    with pytest.raises(HTTPException):
        ours(PLAIN[:cut])


def test_a_usual_response_is_read_without_http_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_response, "_by_http_client", None)
    headers = {"content-type": "application/x-amz-json-1.0", "content-length": "2"}
    assert ours(PLAIN) == Received(200, headers, b"{}", kept=True)


def test_a_connection_with_more_than_the_response_is_not_kept() -> None:
    assert ours(PLAIN).kept
    assert not ours(PLAIN + b"HTTP/1.1 200 OK\r\n").kept
    assert not ours(PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).kept


def test_a_chunked_response_is_read_by_http_client() -> None:
    assert ours(CHUNKED, 7).body == b"{}"


def test_a_head_without_end_is_refused() -> None:
    with pytest.raises(HTTPException):
        ours(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000, 5_000)


def test_a_silent_end_and_a_cut_body_are_told_apart() -> None:
    with pytest.raises(RemoteDisconnected):
        ours(b"")
    with pytest.raises(IncompleteRead):
        ours(PLAIN[:-1])
