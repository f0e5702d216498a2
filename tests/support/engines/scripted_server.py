"""An HTTP server that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


class Request(NamedTuple):
    """What a client sent; `headers` have lower-case names."""

    line: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """What the server does with one request: send `data`, then go on, close, reset or wait."""

    data: bytes = b""
    then: str = "go on"


def http(status: int, body: bytes | object, **changes: str | None) -> Reply:
    """A response as DynamoDB sends it; `changes` to its headers (None: left out)."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {
        "Server": "Server",
        "Date": "Mon, 30 Nov 2026 21:00:00 GMT",
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(len(content)),
        "x-amzn-RequestId": "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG",
        "x-amz-crc32": str(crc32(content)),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return Reply(f"HTTP/1.1 {status} Status\r\n{''.join(lines)}\r\n".encode() + content)


@dataclass
class ScriptedServer:
    """`usual` is answered when the script has ended."""

    listener: socket.socket
    tls: ssl.SSLContext | None = None
    usual: Reply = field(default_factory=lambda: http(200, {}))
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    _script: deque[Reply] = field(default_factory=deque)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def will(self, *replies: Reply) -> None:
        """The next answers, in their order, whatever was still to come."""
        self._script = deque(replies)
        self.requests.clear()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def end(self) -> None:
        self._ended.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _talk(self, connection: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None:
                    self.requests.append(request)
                    reply = self._script.popleft() if self._script else self.usual
                    connection.sendall(reply.data)
                    if reply.then == "wait":
                        self._ended.wait()
                    if reply.then == "reset":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    if reply.then != "go on":
                        return
        except OSError:
            return  # the client has gone


def _read(stream: Any) -> Request | None:
    line = stream.readline().decode().rstrip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while text := stream.readline().decode().rstrip("\r\n"):
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line, headers, stream.read(int(headers.get("content-length", 0))))


@contextmanager
def scripted_server(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """On a free port of this machine, while the block runs."""
    server = ScriptedServer(socket.create_server(("127.0.0.1", 0)), tls)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.end()
        thread.join()
