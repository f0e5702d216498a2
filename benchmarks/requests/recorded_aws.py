"""AWS on a local port: recorded answers of DynamoDB, a KMS, and an issuer's public keys."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from benchmarks.requests.replay import Exchange, Recording

_WRAPPED: Final = b"wrapped by the benchmark's KMS: "


class RecordedAws(ThreadingHTTPServer):
    """`recording` answers DynamoDB's operations; `public_keys` is the JWK set at `/jwks.json`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.recording = Recording()
        self.public_keys: Mapping[str, Any] = {}

    def replay(self, exchanges: Iterable[Exchange]) -> None:
        """Answer from these exchanges, from the first one on."""
        self.recording = Recording()
        for exchange in exchanges:
            self.recording.add(exchange)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def recorded_aws() -> Iterator[RecordedAws]:
    """A server in a thread of this process, while the block runs."""
    with RecordedAws() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write, so one packet, for headers and body
    server: RecordedAws

    def do_POST(self) -> None:
        """An operation of DynamoDB or KMS."""
        body = self.rfile.read(int(self.headers["content-length"]))
        service, _, operation = self.headers["x-amz-target"].partition(".")
        if service == "TrentService":
            self._answer(200, json.dumps(_by_kms(operation, json.loads(body))).encode())
            return
        exchange = self.server.recording.answer(operation, body.decode())
        self._answer(exchange.status, exchange.content)

    def do_GET(self) -> None:
        """The issuer's public keys."""
        self._answer(200, json.dumps(self.server.public_keys).encode())

    def log_message(self, format: str, *_: Any) -> None:
        """Requests are not logged."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _by_kms(operation: str, request: Mapping[str, Any]) -> dict[str, str]:
    """The ciphertext of a data key contains it, so that every process can have it decrypted."""
    if operation == "GenerateDataKey":
        wrapped = _WRAPPED + secrets.token_bytes(32)
    else:
        wrapped = base64.b64decode(request["CiphertextBlob"])
    return {
        "CiphertextBlob": base64.b64encode(wrapped).decode(),
        "KeyId": request["KeyId"],
        "Plaintext": base64.b64encode(wrapped.removeprefix(_WRAPPED)).decode(),
    }
