"""A DynamoDB in a process of its own that judges each request at once, and answers after a delay.

It is the simulation's engine behind a socket, on one thread. Its tables have no indexes and no
streams: no rival reads them, and keeping them is a cost of the engine, not of its clients.
`python -m benchmarks.rivals.judging_server` prints its port and serves until its input is closed.
"""

from __future__ import annotations

import gc
import heapq
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.request import Request, urlopen
from zlib import crc32

from botocore.exceptions import ClientError

from runtime.aws.answers import parsed, request_body
from simulation.dynamodb import InMemoryDynamoDB
from simulation.dynamodb.client import OPERATIONS

CONTROL: Final = "Benchmark"
"""The service of requests that are for the server itself: `Delay`, and `Cpu`."""
_METHODS: Final = {operation: method for method, operation in OPERATIONS.items()}
_READ_BYTES: Final = 1 << 16
_END_OF_HEADERS: Final = b"\r\n\r\n"


@dataclass(frozen=True)
class JudgingServer:
    """A running server."""

    url: str

    def delay(self, seconds: float) -> None:
        """Hold each answer for so long from now on."""
        control(self.url, "Delay", {"seconds": seconds})

    def cpu(self) -> float:
        """Seconds of CPU time that it has used."""
        return engine_cpu(self.url)


def control(url: str, operation: str, request: Mapping[str, Any]) -> Any:
    """The answer of a request that is for the server itself."""
    headers = {"X-Amz-Target": f"{CONTROL}.{operation}"}
    sent = Request(url, json.dumps(request).encode(), headers)  # noqa: S310 - this machine
    with urlopen(sent) as response:  # noqa: S310
        return json.load(response)


def engine_cpu(url: str) -> float:
    """Seconds of CPU time that the server at `url` has used."""
    seconds: float = control(url, "Cpu", {})["seconds"]
    return seconds


@contextmanager
def judging_server() -> Iterator[JudgingServer]:
    """A server without tables, that runs while the block does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rivals.judging_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            yield JudgingServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()


# -------------------------------------------------------------------- in the process of its own


def main() -> None:
    """Serve in this process."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    gc.disable()  # the rows have no cycles, and there will be many
    _Server(listener).serve()


@dataclass
class _Server:
    """One thread. `select` waits for microseconds, where `epoll` rounds up to milliseconds."""

    listener: socket.socket
    database: Any = field(
        default_factory=lambda: InMemoryDynamoDB(now=time.monotonic, epoch=time.time())
    )
    delay: float = 0.0
    received: dict[socket.socket, bytes] = field(default_factory=dict)
    due: list[tuple[float, int, socket.socket, bytes]] = field(default_factory=list)
    answered: int = 0

    def serve(self) -> None:
        """Until the input is closed."""
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
            readable, _, _ = select.select([self.listener, sys.stdin, *self.received], [], [], wait)
            if sys.stdin in readable:
                return
            for each in readable:
                if each is self.listener:
                    connection, _ = self.listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.received[connection] = b""
                elif isinstance(each, socket.socket):
                    self._read(each)
            now = time.monotonic()
            while self.due and self.due[0][0] <= now:
                _, _, connection, response = heapq.heappop(self.due)
                self._send(connection, response)

    def _read(self, connection: socket.socket) -> None:
        try:
            more = connection.recv(_READ_BYTES)
        except ConnectionError:
            more = b""
        if not more:
            del self.received[connection]
            connection.close()
            return
        document = self.received[connection] + more
        head, found, body = document.partition(_END_OF_HEADERS)
        if not found or len(body) < _content_length(head):
            self.received[connection] = document
            return
        self.received[connection] = b""
        response, held = self._answer(_header(head, b"x-amz-target").decode(), body)
        if held and self.delay:
            self.answered += 1  # answers that are due together are sent in order
            due = time.monotonic() + self.delay
            heapq.heappush(self.due, (due, self.answered, connection, response))
        else:
            self._send(connection, response)

    def _send(self, connection: socket.socket, response: bytes) -> None:
        try:
            connection.sendall(response)
        except ConnectionError:
            self.received.pop(connection, None)

    def _answer(self, target: str, body: bytes) -> tuple[bytes, bool]:
        """The response, and whether it is held: control requests are not."""
        service, _, operation = target.partition(".")
        request = parsed(body)
        if service == CONTROL:
            return _response(200, self._controlled(operation, request)), False
        if operation == "CreateTable":
            request = _without_indexes(request)
        method: Callable[..., dict[str, Any]] = getattr(self.database, _METHODS[operation])
        try:
            answer = method(**request)
        except ClientError as error:
            return _response(400, _refusal(error)), True
        del answer["ResponseMetadata"]
        return _response(200, answer), True

    def _controlled(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "Delay":
            self.delay = request["seconds"]
        return {"seconds": time.process_time()}


def _without_indexes(request: Mapping[str, Any]) -> dict[str, Any]:
    left = ("TableName", "KeySchema", "BillingMode")
    keys = {each["AttributeName"] for each in request["KeySchema"]}
    kinds = [each for each in request["AttributeDefinitions"] if each["AttributeName"] in keys]
    return {**{name: request[name] for name in left}, "AttributeDefinitions": kinds}


def _refusal(error: ClientError) -> dict[str, Any]:
    refused: Any = error.response
    reasons = {name: refused[name] for name in ("CancellationReasons", "Item") if name in refused}
    code, message = refused["Error"]["Code"], refused["Error"]["Message"]
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return {"__type": kind, "Message": message, "message": message, **reasons}


def _content_length(head: bytes) -> int:
    return int(_header(head, b"content-length") or b"0")


def _header(head: bytes, name: bytes) -> bytes:
    _, _, rest = head.lower().partition(b"\r\n" + name + b":")
    start = len(head) - len(rest)
    return head[start:].partition(b"\r\n")[0].strip() if rest else b""


def _response(status: int, answer: Mapping[str, Any]) -> bytes:
    body = request_body(answer)
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
        "Server: Server\r\n"
        "Date: Tue, 01 Dec 2026 00:00:00 GMT\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: keep-alive\r\n"
        "x-amzn-RequestId: 4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG\r\n"
        f"x-amz-crc32: {crc32(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main()
