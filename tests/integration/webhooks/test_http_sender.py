"""Untrusted endpoints, over real sockets of this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

import pytest

from runtime.webhooks.http_sender import LOOKUP_THREADS, Address, Reply, WebhookHttp
from tests.support.webhooks.receiver import (
    Flood,
    Receiver,
    authority_for,
    drips_body,
    drips_headers,
    hangs_up,
    misbehaving,
    never_answers,
    says,
    speaks_no_http,
)

HEADERS = {"webhook-id": "whk_1"}
PUBLIC, OTHER = "93.184.216.34", "151.101.1.69"
LOCAL = WebhookHttp(allow_local=True, total_seconds=1.0)


class Network:
    """DNS for tests: every address that is connected to is really this machine."""

    def __init__(self, *answers: Sequence[str], port: int = 1) -> None:
        self._answers = list(answers)
        self._port = port
        self.looked_up: list[str] = []
        self.connected: list[str] = []
        self.unreachable: set[str] = set()

    def resolve(self, host: str, port: int) -> list[Address]:
        self.looked_up.append(f"{host}:{port}")
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(each) for each in answer]

    def connect(self, address: Address, port: int, seconds: float) -> socket.socket:
        self.connected.append(f"{address}:{port}")
        if str(address) in self.unreachable:
            raise TimeoutError
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=seconds)
        connection.settimeout(None)  # as the real one: otherwise it competes with the deadline
        return connection


def over(network: Network, **more: object) -> WebhookHttp:
    return WebhookHttp(resolve=network.resolve, connect=network.connect, **more)  # type: ignore[arg-type]


def test_a_webhook_arrives_as_it_was_sent() -> None:
    with Receiver(script=[(204, {})]).running() as receiver:
        reply = LOCAL.post(receiver.url, HEADERS, b'{"a":1}')
    assert reply == Reply(status=204)
    (request,) = receiver.received
    assert (request.path, request.body) == ("/hooks?shop=1", b'{"a":1}')
    assert request.headers["webhook-id"] == "whk_1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("payments-webhooks/")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_a_redirect_is_not_followed() -> None:
    metadata = {"location": "http://169.254.169.254/latest/meta-data/"}
    with Receiver(usual=(302, metadata)).running() as receiver:
        assert LOCAL.post(receiver.url, HEADERS, b"{}") == Reply(status=302)
    assert len(receiver.received) == 1


def test_retry_after_of_an_endpoint_is_reported() -> None:
    with Receiver(usual=(429, {"Retry-After": "120"})).running() as receiver:
        reply = LOCAL.post(receiver.url, HEADERS, b"{}")
    assert reply == Reply(status=429, retry_after="120")


@pytest.mark.parametrize("serve", [never_answers, drips_headers])
def test_an_endpoint_that_does_not_answer_is_disconnected_at_the_deadline(
    serve: Callable[[socket.socket], None],
) -> None:
    started = time.monotonic()
    with misbehaving(serve) as port:
        reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply == Reply(failure="no answer within 1 s")
    assert time.monotonic() - started > 0.9


def test_an_endless_body_does_not_invalidate_the_answer() -> None:
    with misbehaving(drips_body) as port:
        reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply == Reply(status=200)


CHUNKED = "transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [f"content-length: {1024**3}\r\n\r\n", CHUNKED + "-1\r\n", CHUNKED + "-2\r\n", "\r\n"],
)
def test_none_of_a_gigabyte_body_is_read_whatever_its_framing(framing: str) -> None:
    flood = Flood(framing)
    with misbehaving(flood) as port:
        assert LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}") == Reply(status=200)
        assert flood.ended.wait(timeout=10)
    assert flood.sent < 32 * 1024 * 1024  # the capacity of two sockets' buffers


HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
FINAL = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n\r\n"


@pytest.mark.parametrize("number", [b"100", b"102", b"103", b"199"])
def test_an_interim_response_is_skipped_and_the_next_one_counts(number: bytes) -> None:
    interim = HINTS.replace(b"103", number)
    with misbehaving(says(interim, interim, FINAL)) as port:
        reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply == Reply(status=429, retry_after="7")


@pytest.mark.parametrize("number", [b"100", b"103"])
def test_endless_interim_responses_are_refused(number: bytes) -> None:
    with misbehaving(says(HINTS.replace(b"103", number) * 1_000, FINAL)) as port:
        reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply == Reply(failure="the server sent too many interim responses (1xx)")


def test_an_unrequested_protocol_switch_is_the_response() -> None:
    with misbehaving(says(HINTS.replace(b"103", b"101"), FINAL)) as port:
        assert LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}") == Reply(status=101)


def test_interim_responses_do_not_extend_the_deadline() -> None:
    with misbehaving(says(HINTS)) as port:
        reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply == Reply(failure="no answer within 1 s")


def test_an_unexpected_error_of_the_library_is_a_failure_too() -> None:
    def odd(address: Address, port: int, seconds: float) -> socket.socket:
        raise ValueError("an unexpected error")

    http = WebhookHttp(resolve=Network([PUBLIC]).resolve, connect=odd)
    reply = http.post("https://hooks.example/", HEADERS, b"{}")
    assert reply == Reply(failure="the attempt was not completed")


def test_other_failures_have_a_clear_reason() -> None:
    with misbehaving(hangs_up) as port:
        reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply.failure == "the connection was closed without a response"
    with misbehaving(speaks_no_http) as port:
        reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply.failure == "the response is not HTTP"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    reply = LOCAL.post(f"http://127.0.0.1:{port}/", HEADERS, b"{}")
    assert reply.failure == "no connection could be made"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:80/",
        "http://localhost:8080/",
        "http://hooks.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/",
        "https://user:word@hooks.example/",
        "https://hooks.example:22/",
    ],
)
def test_a_forbidden_url_is_not_even_resolved(url: str) -> None:
    network = Network([PUBLIC])
    reply = over(network).post(url, HEADERS, b"{}")
    assert reply.status is None
    assert (reply.failure or "").startswith("the URL ")
    assert network.looked_up == network.connected == []


@pytest.mark.parametrize(
    "bad",
    [
        "127.0.0.1",
        "10.0.0.8",
        "169.254.169.254",
        "::1",
        "64:ff9b::a9fe:a9fe",
        "fd00::1",
        "224.0.0.1",
    ],
)
def test_one_private_address_among_public_ones_is_refused(bad: str) -> None:
    network = Network([PUBLIC, bad, OTHER])
    reply = over(network).post("https://hooks.example/", HEADERS, b"{}")
    assert reply == Reply(failure="the host name has an address that is not public")
    assert network.connected == []


def test_a_name_is_resolved_only_once_so_that_it_cannot_change_to_a_private_address(
    tmp_path: Path,
) -> None:
    authority = authority_for(["hooks.example"], tmp_path)
    with Receiver().running(authority.server) as receiver:
        network = Network([PUBLIC], ["127.0.0.1"], port=receiver.port)
        http = over(network, tls=lambda: authority.client)
        assert http.post("https://hooks.example/in", HEADERS, b"{}") == Reply(status=200)
        assert network.looked_up == ["hooks.example:443"]
        assert network.connected == [f"{PUBLIC}:443"]
        second = http.post("https://hooks.example/in", HEADERS, b"{}")
    assert second == Reply(failure="the host name has an address that is not public")
    (request,) = receiver.received
    assert request.headers["host"] == "hooks.example"


def test_the_certificate_must_match_the_name_and_not_the_address(tmp_path: Path) -> None:
    authority = authority_for(["another.example"], tmp_path)
    with Receiver().running(authority.server) as receiver:
        network = Network([PUBLIC], port=receiver.port)
        http = over(network, tls=lambda: authority.client)
        reply = http.post("https://hooks.example/", HEADERS, b"{}")
        assert reply.status is None
        assert (reply.failure or "").startswith("its certificate is not valid: Hostname mismatch")
        reply = over(network).post("https://another.example/", HEADERS, b"{}")
        assert (reply.failure or "").startswith("its certificate is not valid")
    assert receiver.received == []


def test_the_next_address_is_tried_if_one_does_not_connect(tmp_path: Path) -> None:
    authority = authority_for(["hooks.example"], tmp_path)
    with Receiver().running(authority.server) as receiver:
        network = Network([PUBLIC, "2606:4700::1111", OTHER], port=receiver.port)
        network.unreachable = {PUBLIC}
        http = over(network, tls=lambda: authority.client)
        assert http.post("https://hooks.example:8443/", HEADERS, b"{}") == Reply(status=200)
    assert network.connected == [f"{PUBLIC}:8443", f"{OTHER}:8443"]


def test_an_endpoint_that_stalls_during_the_handshake_is_disconnected() -> None:
    with misbehaving(never_answers) as port:
        network = Network([PUBLIC], port=port)
        reply = over(network, total_seconds=0.5).post("https://hooks.example/", HEADERS, b"{}")
    assert reply == Reply(failure="no answer within 0.5 s")


def test_a_slow_name_resolution_ends_the_attempt() -> None:
    free = threading.Event()

    def slow(host: str, port: int) -> list[Address]:
        free.wait(timeout=10)
        return [ip_address(PUBLIC)]

    http = WebhookHttp(resolve=slow, total_seconds=0.3)
    reply = http.post("https://hooks.example/", HEADERS, b"{}")
    free.set()
    assert reply == Reply(failure="the host name could not be resolved in time")


def test_a_name_resolution_canceled_before_its_start_never_starts() -> None:
    asked: list[str] = []
    free = threading.Event()

    def stuck(host: str, port: int) -> list[Address]:
        asked.append(host)
        free.wait(timeout=10)
        return [ip_address(PUBLIC)]

    http = WebhookHttp(resolve=stuck, total_seconds=0.2)
    urls = [f"https://hooks-{n}.example/" for n in range(LOOKUP_THREADS + 4)]
    try:
        with ThreadPoolExecutor(max_workers=len(urls)) as pool:
            replies = list(pool.map(lambda url: http.post(url, HEADERS, b"{}"), urls))
        late = Reply(failure="the host name could not be resolved in time")
        assert replies == [late] * len(urls)
    finally:
        free.set()
    time.sleep(0.2)  # queued look-ups would have run by now
    assert len(asked) <= LOOKUP_THREADS


def test_a_name_without_an_address_is_reported() -> None:
    def unknown(host: str, port: int) -> list[Address]:
        raise socket.gaierror

    http = WebhookHttp(resolve=unknown)
    reply = http.post("https://hooks.example/", HEADERS, b"{}")
    assert reply == Reply(failure="the host name has no address")


def test_proxy_settings_of_the_machine_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Receiver().running() as receiver:
        assert LOCAL.post(receiver.url, HEADERS, b"{}") == Reply(status=200)
