"""A DynamoDB in a process of its own that answers each operation at once, with one answer.

`python -m benchmarks.requests.instant_server` reads the answers from its input, a JSON object of
operations and their base64 bodies, prints its port, and serves until its input is closed.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from zlib import crc32


@contextmanager
def instant_server(answers: Mapping[str, bytes]) -> Iterator[str]:
    """The URL of a server that answers while the block runs."""
    encoded = {name: base64.b64encode(body).decode() for name, body in answers.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.requests.instant_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps(encoded) + "\n")
        process.stdin.flush()
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def main() -> None:
    """Serve in this process."""
    encoded = json.loads(sys.stdin.readline())
    responses = {name: _response(base64.b64decode(body)) for name, body in encoded.items()}
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(listener, responses), daemon=True).start()
    sys.stdin.read()


def _response(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Server: Server\r\n"
        "Date: Mon, 30 Nov 2026 21:00:00 GMT\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: keep-alive\r\n"
        "x-amzn-RequestId: 4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG\r\n"
        f"x-amz-crc32: {crc32(body)}\r\n\r\n"
    )
    return head.encode() + body


def _accept(listener: socket.socket, responses: Mapping[str, bytes]) -> None:
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(connection, responses), daemon=True).start()


def _serve(connection: socket.socket, responses: Mapping[str, bytes]) -> None:
    stream: Any = connection.makefile("rb")
    while stream.readline():
        length, operation = 0, ""
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
            elif name.lower() == "x-amz-target":
                operation = value.rpartition(".")[2]
        stream.read(length)
        connection.sendall(responses[operation])


if __name__ == "__main__":
    main()
