"""A network in front of the API that loses answers: the request is carried out, the answer is not
returned, or is replaced by a proxy's error page.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import httpx

TIMEOUT_SECONDS: Final = 40.0
# What belongs to one connection, or is set again by the server here.
HOP_BY_HOP: Final = frozenset(
    {"connection", "content-length", "date", "server", "transfer-encoding", "content-encoding"}
)
BAD_GATEWAY: Final = b"<html><body>502 Bad Gateway</body></html>"


@dataclass
class LossyProxy:
    """Of each POST, the first answer is lost, and the second replaced; GETs pass."""

    upstream: str
    port: int = 0
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """POSTs by path and idempotency key."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def attempt(self, path: str, key: str) -> int:
        """The number of this attempt of a POST."""
        with self._lock:
            self.attempts[path, key] += 1
            return self.attempts[path, key]

    @contextmanager
    def running(self) -> Iterator[LossyProxy]:
        """Listen on a free port while the block runs."""
        proxy = self

        class Handler(_Handler):
            network = proxy

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    network: LossyProxy

    def do_GET(self) -> None:
        self._answer(self._forwarded())

    def do_POST(self) -> None:
        answer = self._forwarded()
        attempt = self.network.attempt(self.path, self.headers.get("idempotency-key", ""))
        if attempt == 1:
            self.close_connection = True  # without a byte
        elif attempt == 2:
            self._answer(httpx.Response(502, content=BAD_GATEWAY))
        else:
            self._answer(answer)

    def _forwarded(self) -> httpx.Response:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        names = {"host", "connection", "accept-encoding"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in names}
        return httpx.request(
            self.command,
            self.network.upstream + self.path,
            content=body,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def _answer(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
