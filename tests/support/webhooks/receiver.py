"""Merchants' endpoints on this machine: some answer, and some misbehave."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = tuple[int, Mapping[str, str]]
OK: Answer = (200, {})


@dataclass(frozen=True)
class Received:
    """One request as received."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with the entries of `script`, one after the other, and then with `usual`."""

    script: list[Answer] = field(default_factory=list)
    usual: Answer = OK
    received: list[Received] = field(default_factory=list)
    port: int = 0
    before_answer: Callable[[Received], None] = lambda _: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?shop=1"

    def answer(self, request: Received) -> Answer:
        with self._lock:
            self.received.append(request)
            answer = self.script.pop(0) if self.script else self.usual
        self.before_answer(request)
        return answer

    @contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
        """Listen on a free port while the block runs."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, more = receiver.answer(Received(self.path, headers, body))
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@contextmanager
def misbehaving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of an endpoint that calls `serve` with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_: list[socket.socket] = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_.append(connection)
            threading.Thread(target=_served, args=(serve, connection), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in open_:
            connection.close()


def _served(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with suppress(OSError):
        serve(connection)


def never_answers(connection: socket.socket) -> None:
    """Reads everything, answers nothing."""
    while connection.recv(65536):
        pass


def hangs_up(connection: socket.socket) -> None:
    """Closes at once."""
    connection.close()


def speaks_no_http(connection: socket.socket) -> None:
    """Answers in a different protocol."""
    connection.recv(65536)
    connection.sendall(b"220 mail ready\r\n")
    connection.close()


def drips_headers(connection: socket.socket) -> None:
    """Sends a header for ever, a byte at a time, each within any timeout of one read."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.05)


def drips_body(connection: socket.socket) -> None:
    """Answers at once with an endless body."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"a")
        time.sleep(0.05)


def says(*lines: bytes) -> Callable[[socket.socket], None]:
    """Answers with these bytes, and then no more."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"".join(lines))
        never_answers(connection)

    return serve


class Flood:
    """Answers with a gigabyte, framed by `framing`, and counts the bytes that were read."""

    def __init__(self, framing: str = f"content-length: {1024**3}\r\n\r\n") -> None:
        self.framing = framing
        self.sent = 0
        self.ended = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        connection.recv(65536)
        try:
            connection.sendall(f"HTTP/1.1 200 OK\r\n{self.framing}".encode())
            chunk = b"x" * 65536
            while self.sent < 1024**3:
                connection.sendall(chunk)
                self.sent += len(chunk)
        finally:
            self.ended.set()


@dataclass(frozen=True)
class Authority:
    """A certificate authority for tests, and a certificate for some names."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def authority_for(names: Sequence[str], directory: Path) -> Authority:
    """A client context that trusts only this authority, and a server with its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = directory / "key.pem"
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return Authority(server, ssl.create_default_context(cafile=str(pem)))
