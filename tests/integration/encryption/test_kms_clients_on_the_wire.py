"""The lean KMS client against botocore's, over real sockets: what is sent, answered and raised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from runtime.encryption.lean_kms import BACKOFF_SECONDS, ERRORS
from tests.support.engines.both_clients import (
    botocores,
    document,
    lean_kms,
    outcome,
    signature_by_botocore,
)
from tests.support.engines.scripted_server import Reply, ScriptedServer, http, scripted_server

ARN: Final = "arn:aws:kms:eu-west-1:1:key/pii"
CONTEXT: Final = {"purpose": "pii", "subject": 'Grüße "quoted" \\ 😀'}
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "decrypt": {
        "KeyId": ARN,
        "CiphertextBlob": b"\x00\xff wrapped",
        "EncryptionContext": CONTEXT,
    },
    "generate_data_key": {"KeyId": ARN, "KeySpec": "AES_256", "EncryptionContext": CONTEXT},
}
ANSWERS: Final[dict[str, object]] = {
    "decrypt": {
        "KeyId": ARN,
        "Plaintext": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "KeyMaterialId": None,
    },
    "generate_data_key": {
        "KeyId": ARN,
        "Plaintext": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "CiphertextBlob": "AP8gd3JhcHBlZA==",
        "CiphertextForRecipient": "",
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture(scope="module")
def clients(server: ScriptedServer) -> Iterator[list[Any]]:
    """The lean client, then botocore's, both without retries."""
    url = f"http://127.0.0.1:{server.port}"
    both = [lean_kms(url), botocores(url, service="kms")]
    yield both
    for client in both:
        client.close()


def kms_reply(status: int, body: bytes | object, **changes: str | None) -> Reply:
    """A response as KMS sends it: without a checksum."""
    return http(
        status,
        body,
        **{"x_amz_crc32": None, "Content_Type": "application/x-amz-json-1.1", **changes},
    )


@pytest.mark.parametrize("method", REQUESTS)
def test_both_send_the_same_request(
    method: str, server: ScriptedServer, clients: list[Any]
) -> None:
    reply = kms_reply(200, ANSWERS[method])
    server.will(reply, reply)
    for client in clients:
        getattr(client, method)(**REQUESTS[method])
    ours, theirs = server.requests
    assert ours.line == theirs.line == "POST / HTTP/1.1"
    assert document(ours) == document(theirs)
    for name in (
        "accept-encoding",
        "content-type",
        "host",
        "x-amz-security-token",
        "x-amz-target",
    ):
        assert ours.headers[name] == theirs.headers[name]
    for request in (ours, theirs):
        assert request.headers["authorization"] == signature_by_botocore(request, "kms")


@pytest.mark.parametrize("method", REQUESTS)
def test_both_return_the_same_answer(
    method: str, server: ScriptedServer, clients: list[Any]
) -> None:
    reply = kms_reply(200, ANSWERS[method])
    server.will(reply, reply)
    ours, theirs = (outcome(client, method, REQUESTS[method]) for client in clients)
    assert ours.kind == "answer"
    assert ours.what["Plaintext"] == bytes(range(32))
    assert ours == theirs


def test_every_binary_member_of_the_answers_is_decoded(clients: list[Any]) -> None:
    model = clients[1].meta.service_model
    blobs: set[str] = set()
    for operation in ("Decrypt", "GenerateDataKey"):
        members = model.operation_model(operation).output_shape.members
        blobs |= {name for name, shape in members.items() if shape.type_name == "blob"}
    assert blobs == {"CiphertextBlob", "CiphertextForRecipient", "Plaintext"}


def error(code: str) -> dict[str, str]:
    return {"__type": code, "message": "words"}


ERROR_REPLIES: Final = {
    **{code: kms_reply(400, error(code)) for code in ERRORS.members},
    "denied": kms_reply(400, {"__type": "AccessDeniedException", "Message": "words"}),
    "expired": kms_reply(400, error("ExpiredTokenException"), Date=None),
    "throttled": kms_reply(400, error("ThrottlingException")),
    "internal": kms_reply(500, error("KMSInternalException")),
    "a page": kms_reply(503, b"<html>Unavailable</html>", x_amzn_RequestId=None),
    "nothing": kms_reply(400, b""),
}


@pytest.mark.parametrize("name", ERROR_REPLIES)
def test_both_raise_the_same_error(name: str, server: ScriptedServer, clients: list[Any]) -> None:
    server.will(ERROR_REPLIES[name], ERROR_REPLIES[name])
    ours, theirs = (outcome(client, "decrypt", REQUESTS["decrypt"]) for client in clients)
    assert ours.kind != "answer"
    assert ours == theirs
    assert len(server.requests) == 2


def test_errors_have_the_members_of_botocores_model(clients: list[Any]) -> None:
    model = clients[1].meta.service_model
    declared: dict[str, tuple[str, ...]] = {}
    for operation in ("Decrypt", "GenerateDataKey"):
        shapes = model.operation_model(operation).error_shapes
        declared |= {shape.error_code: tuple(shape.members) for shape in shapes}
    assert declared == ERRORS.members


RETRIED: Final = {
    "throttled": kms_reply(400, error("ThrottlingException")),
    "limit exceeded": kms_reply(400, error("LimitExceededException")),
    "too many": kms_reply(429, b""),
    "internal": kms_reply(500, error("KMSInternalException")),
    "unavailable": kms_reply(503, b"<html></html>"),
    "gateway timeout": kms_reply(504, b""),
    "closed": Reply(b"", "close"),
    "no answer": Reply(b"", "wait"),
}


@pytest.fixture
def botocore_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


@pytest.mark.parametrize("name", RETRIED)
@pytest.mark.usefixtures("botocore_without_pauses")
def test_both_repeat_after_transient_errors(name: str, server: ScriptedServer) -> None:
    url = f"http://127.0.0.1:{server.port}"
    for client in (lean_kms(url, 3), botocores(url, service="kms", attempts=3)):
        server.will(RETRIED[name], RETRIED[name], kms_reply(200, ANSWERS["decrypt"]))
        assert client.decrypt(**REQUESTS["decrypt"])["Plaintext"] == bytes(range(32))
        bodies = {request.body for request in server.requests}
        assert (len(server.requests), len(bodies)) == (3, 1)
        client.close()


@pytest.mark.parametrize("name", sorted(ERRORS.members))
def test_other_errors_are_final(name: str, server: ScriptedServer) -> None:
    client = lean_kms(f"http://127.0.0.1:{server.port}", 3)
    server.will(kms_reply(400, error(name)))
    with pytest.raises(ClientError, match=name):
        client.generate_data_key(**REQUESTS["generate_data_key"])
    assert len(server.requests) == 1
    client.close()


def test_the_last_attempt_raises_what_happened_after_growing_pauses(server: ScriptedServer) -> None:
    pauses: list[float] = []
    client = lean_kms(f"http://127.0.0.1:{server.port}", 3, pauses.append)
    server.will(*(Reply(b"", "close") for _ in range(3)))
    with pytest.raises(ConnectionClosedError):
        client.decrypt(**REQUESTS["decrypt"])
    assert len(server.requests) == 3
    assert pauses == [BACKOFF_SECONDS, 2 * BACKOFF_SECONDS]
    client.close()
