"""The lean client alone: AWS's clock, TLS, secrets, and lost answers under the store."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as botocore_errors
from botocore.exceptions import ClientError, ConnectionClosedError, SSLError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.client.lean import LeanClient
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.expressions import absent, put
from runtime.dynamodb.store import Store
from runtime.reporting.totals.models import TotalsMark
from tests.support.engines.both_clients import (
    SECRET,
    TOKEN,
    document,
    lean,
    signature_by_botocore,
)
from tests.support.engines.scripted_server import Reply, ScriptedServer, http, scripted_server
from tests.support.outside import outside

GET = {"TableName": "payments", "Key": {"id": {"S": "pay_1"}}}
NOW = datetime(2026, 11, 30, 21, 0, tzinfo=UTC)
AHEAD = timedelta(hours=1)


def rejected(at: datetime | None, code: str = "InvalidSignatureException") -> Reply:
    date = None if at is None else f"{at:%a, %d %b %Y %H:%M:%S} GMT"
    return http(400, {"__type": f"com.amazon.coral.service#{code}", "message": "late"}, Date=date)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[LeanClient]:
    client = lean(f"http://127.0.0.1:{server.port}", lambda: NOW)
    yield client
    client.close()


def dates(server: ScriptedServer) -> list[str]:
    return [request.headers["x-amz-date"] for request in server.requests]


# ---------------------------------------------------------------- AWS's clock


@pytest.mark.parametrize("ahead", [AHEAD, -AHEAD, timedelta(minutes=6)])
def test_a_wrong_clock_is_corrected_once_and_for_all(
    ahead: timedelta, server: ScriptedServer, client: LeanClient
) -> None:
    server.will(rejected(NOW + ahead))
    answer = client.get_item(**GET)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    client.get_item(**GET)
    corrected = f"{NOW + ahead:%Y%m%dT%H%M%SZ}"
    assert dates(server) == ["20261130T210000Z", corrected, corrected]
    first, second, _ = server.requests
    assert document(first) == document(second)
    assert first.headers["authorization"] != second.headers["authorization"]


def test_a_clock_that_is_wrong_again_is_corrected_again(
    server: ScriptedServer, client: LeanClient
) -> None:
    server.will(rejected(NOW + AHEAD), http(200, {}), rejected(NOW), http(200, {}))
    client.get_item(**GET)
    client.get_item(**GET)
    assert dates(server)[-2:] == ["20261130T220000Z", "20261130T210000Z"]


@pytest.mark.parametrize(
    "replies",
    [
        [rejected(NOW + timedelta(minutes=1))],
        [rejected(None)],
        [rejected(NOW + AHEAD, "AccessDeniedException")],
        [http(400, {"__type": "InvalidSignatureException"}, Date="yesterday")],
        [rejected(NOW + AHEAD), rejected(NOW + 3 * AHEAD)],
    ],
)
def test_other_rejections_are_raised(
    replies: list[Reply], server: ScriptedServer, client: LeanClient
) -> None:
    server.will(*replies)
    with pytest.raises(ClientError):
        client.get_item(**GET)
    assert len(server.requests) == len(replies)


# ---------------------------------------------------------------- secrets


def test_a_rejected_signature_does_not_show_the_token(
    server: ScriptedServer, client: LeanClient
) -> None:
    """AWS explains it with the canonical request, of which the session token is a part."""
    canonical = f"The canonical request was x-amz-security-token:{TOKEN} x-amz-target:PutItem"
    server.will(http(403, {"__type": "InvalidSignatureException", "message": canonical}, Date=None))
    with pytest.raises(ClientError) as refused:
        client.get_item(**GET)
    shown = f"{refused.value} {refused.value!r} {refused.value.response}"
    assert "x-amz-security-token:***" in shown
    assert TOKEN not in shown
    assert SECRET not in shown


def test_a_lost_answer_does_not_carry_the_request(
    server: ScriptedServer, client: LeanClient
) -> None:
    """botocore's carries it, with its headers."""
    server.will(Reply(b"", "close"))
    with pytest.raises(ConnectionClosedError) as lost:
        client.get_item(**GET)
    assert lost.value.request is None
    shown = f"{lost.value!r} {vars(lost.value)} {lost.value.__cause__!r} {client!r} {vars(client)}"
    assert TOKEN not in shown
    assert SECRET not in shown


# ---------------------------------------------------------------- failures that no server makes


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (TimeoutError(), botocore_errors.ConnectTimeoutError),
        (ssl.SSLEOFError(), botocore_errors.SSLError),
        (socket.gaierror(), botocore_errors.EndpointConnectionError),
        (OSError("no descriptor is left"), botocore_errors.EndpointConnectionError),
    ],
)
def test_every_failure_to_connect_is_an_error_that_the_store_retries(
    raised: Exception,
    expected: type[Exception],
    client: LeanClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(expected) as lost:
        client.get_item(**GET)
    assert type(lost.value) is expected
    assert isinstance(
        lost.value, (botocore_errors.ConnectionError, botocore_errors.HTTPClientError)
    )


# ---------------------------------------------------------------- threads


def test_threads_share_a_client_and_a_limited_number_of_connections_is_kept(
    server: ScriptedServer, client: LeanClient
) -> None:
    keys = [f"pay_{n}" for n in range(200)]

    def read(key: str) -> int:
        answer = client.get_item(TableName="payments", Key={"id": {"S": key}})
        status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
        return status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, keys)) == {200}
    assert sorted(document(each)["Key"]["id"]["S"] for each in server.requests) == sorted(keys)
    for each in server.requests:
        assert each.headers["authorization"] == signature_by_botocore(each)
    before = server.connections
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(read, keys[:10]))
    assert server.connections == before
    assert len(client._client._transport._idle) <= 4


# ---------------------------------------------------------------- under the store


def test_the_store_sends_a_write_again_until_its_answer_arrives(
    server: ScriptedServer, client: LeanClient
) -> None:
    store = Store(client, {"totals": "totals"}, Codec(NoCipher()), lambda: 60.0, outside())
    conflict = {"__type": "TransactionCanceledException", "Message": "canceled"}
    reasons = [{"Code": "TransactionConflict"}]
    server.will(
        Reply(b"", "reset"),
        http(500, {"__type": "InternalServerError"}),
        http(400, {**conflict, "CancellationReasons": reasons}),
        http(200, {}, x_amz_crc32="1"),
    )
    write = put(TotalsMark(id="mer_a", version=1)).when(absent("id"))
    store.transact([write], token="opn_1")
    assert len(server.requests) == 5
    assert all(document(each) == document(server.requests[0]) for each in server.requests)
    assert document(server.requests[0])["ClientRequestToken"] == "opn_1"


def test_the_store_reads_a_damaged_answer_again(server: ScriptedServer, client: LeanClient) -> None:
    """An answer without its end would mean that the row does not exist."""
    store = Store(client, {"totals": "totals"}, Codec(NoCipher()), lambda: 60.0, outside())
    item = {"id": {"S": "mer_a"}, "version": {"N": "7"}}
    whole = http(200, {"Item": item})
    server.will(Reply(whole.data[:-20], "close"), Reply(whole.data[:40], "close"), whole)
    row = store.get(TotalsMark, {"id": "mer_a"}, TotalsMark, UNRESTRICTED)
    assert row is not None
    assert row.version == 7


# ---------------------------------------------------------------- TLS


def certificate(directory: Path, name: x509.GeneralName) -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate of its own, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - AHEAD)
        .not_valid_after(now + AHEAD)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = signed.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    directory.mkdir()
    (directory / "ca.pem").write_bytes(public)
    (directory / "both.pem").write_bytes(public + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "both.pem")
    return context, str(directory / "ca.pem")


THIS_MACHINE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def over_tls(server: ScriptedServer, **variables: str) -> Any:
    client = lean(f"https://127.0.0.1:{server.port}", **variables)
    try:
        return client.get_item(**GET)
    finally:
        client.close()


def test_a_server_is_believed_by_its_certificate(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path / "own", THIS_MACHINE)
    with scripted_server(context) as server:
        server.usual = http(200, {"Item": {"id": {"S": "pay_1"}}})
        answer = over_tls(server, AWS_CA_BUNDLE=trusted)
        assert answer["Item"] == {"id": {"S": "pay_1"}}
        assert over_tls(server, REQUESTS_CA_BUNDLE=trusted)["Item"] == answer["Item"]
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_a_server_with_another_certificate_is_sent_nothing(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path / "own", THIS_MACHINE)
    _, another = certificate(tmp_path / "another", THIS_MACHINE)
    with scripted_server(context) as server:
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            over_tls(server, AWS_CA_BUNDLE=another)
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            over_tls(server)
        assert server.requests == []


def test_a_server_with_another_name_is_sent_nothing(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path / "own", x509.DNSName("dynamodb.test"))
    with scripted_server(context) as server:
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            over_tls(server, AWS_CA_BUNDLE=trusted)
        assert server.requests == []
