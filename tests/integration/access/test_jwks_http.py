"""The issuer's keys over real connections: one valid response, and every kind of bad one."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from runtime.access.jwks_http import MAX_JWKS_BYTES, jwks_from_url

DOCUMENT = json.dumps({"keys": [{"kty": "RSA", "kid": "a"}]}).encode()
SECONDS = 0.5
Answer = Callable[[socket.socket], None]


def whole(body: bytes, status: str = "200 OK", length: int | None = None, more: str = "") -> Answer:
    said = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\ncontent-length: {said}\r\n{more}\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def dripping(before: bytes) -> Answer:
    """A byte now and then, each well within the socket's timeout, without end."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(before)
        for _ in range(100):
            time.sleep(SECONDS / 10)
            connection.sendall(b" ")

    return answer


@contextmanager
def issuer(answer: Answer) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(4096)
                        answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/jwks.json"


def test_a_document_is_read() -> None:
    with issuer(whole(DOCUMENT)) as url:
        fetch = jwks_from_url(url)
        assert fetch() == fetch() == json.loads(DOCUMENT)


BAD: dict[str, Answer] = {
    "cut off": whole(DOCUMENT[:-4], length=len(DOCUMENT)),
    "too large": whole(b" " * MAX_JWKS_BYTES + DOCUMENT),
    "no JSON": whole(b"<html>"),
    "no UTF-8": whole(b'{"keys": "\xff"}'),
    "nested too deep": whole(b"[" * 100_000),
    "an error": whole(DOCUMENT, status="500 Internal Server Error"),
    "not found": whole(DOCUMENT, status="404 Not Found"),
    "a redirect": whole(b"", status="302 Found", more="location: http://127.0.0.1:9/\r\n"),
    "nothing": lambda connection: None,
    "silence": lambda connection: time.sleep(SECONDS * 3),
    "a body that drips": dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
    "headers that drip": dripping(b"HTTP/1.1 200 OK\r\nx: "),
}


# http.client leaves the file of an unfinished response to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("answer", list(BAD))
def test_a_bad_response_raises_an_error(answer: str) -> None:
    with issuer(BAD[answer]) as url, pytest.raises(Exception):  # noqa: B017, PT011 - any will do
        jwks_from_url(url, SECONDS)()


def test_a_good_response_is_read_after_a_bad_one() -> None:
    answers = iter((whole(b"{"), whole(DOCUMENT)))

    def answer(connection: socket.socket) -> None:
        next(answers)(connection)

    with issuer(answer) as url:
        fetch = jwks_from_url(url)
        with pytest.raises(ValueError, match="Expecting"):
            fetch()
        assert fetch() == json.loads(DOCUMENT)
