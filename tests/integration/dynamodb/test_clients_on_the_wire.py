"""The lean client against botocore's, over real sockets: what is sent, answered and raised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, HTTPClientError

from runtime.aws import transport
from runtime.aws.transport import UnusableResponse
from runtime.dynamodb.client.lean import DYNAMODB
from tests.support.engines.both_clients import (
    botocores,
    document,
    lean,
    outcome,
    signature_by_botocore,
)
from tests.support.engines.scripted_server import Reply, ScriptedServer, http, scripted_server

KEY = {"id": {"S": "pay_1"}}
ITEM = {
    **KEY,
    "amount": {"N": "-12345678901234567890.5"},
    "text": {"S": 'Grüße, "quoted" \\ \n\u0001 😀'},
    "B": {"B": b"\x00\xff bytes"},
    "BS": {"BS": [b"one", b"two"]},
    "names": {"SS": ["a", "b"]},
    "counts": {"NS": ["1", "2"]},
    "flag": {"BOOL": False},
    "nothing": {"NULL": True},
    "nested": {"M": {"B": {"L": [{"B": b"\x01"}, {"S": "x"}, {"M": {}}]}, "BS": {"S": "no set"}}},
    "empty": {"L": []},
}
ON_THE_WIRE = {
    **ITEM,
    "B": {"B": "AP8gYnl0ZXM="},
    "BS": {"BS": ["b25l", "dHdv"]},
    "nested": {"M": {"B": {"L": [{"B": "AQ=="}, {"S": "x"}, {"M": {}}]}, "BS": {"S": "no set"}}},
}
CONDITION = {
    "ConditionExpression": "#v = :v",
    "ExpressionAttributeNames": {"#v": "version"},
    "ExpressionAttributeValues": {":v": {"N": "3"}, ":b": {"B": b"sealed"}},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
TABLE = {"TableName": "payments"}
REQUESTS: dict[str, dict[str, Any]] = {
    "get_item": {**TABLE, "Key": KEY, "ConsistentRead": True},
    "put_item": {**TABLE, "Item": ITEM, **CONDITION},
    "update_item": {**TABLE, "Key": KEY, "UpdateExpression": "SET #v = :v", **CONDITION},
    "delete_item": {**TABLE, "Key": KEY, **CONDITION},
    "query": {**TABLE, "Limit": 20, "ScanIndexForward": False, "ExclusiveStartKey": KEY},
    "scan": {**TABLE, "Segment": 0, "TotalSegments": 4, "ConsistentRead": True},
    "batch_get_item": {"RequestItems": {"payments": {"Keys": [KEY, KEY]}}},
    "transact_get_items": {"TransactItems": [{"Get": {**TABLE, "Key": KEY}}]},
    "transact_write_items": {
        "TransactItems": [{"Put": {**TABLE, "Item": ITEM}}, {"Update": {**TABLE, "Key": KEY}}],
        "ClientRequestToken": "opn_1",
    },
}
ANSWERS: dict[str, object] = {
    "get_item": {"Item": ON_THE_WIRE},
    "put_item": {},
    "update_item": {"Attributes": ON_THE_WIRE},
    "delete_item": {"Attributes": {}},
    "query": {"Items": [ON_THE_WIRE, {}], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": KEY},
    "scan": {"Items": [], "Count": 0, "ScannedCount": 0, "LastEvaluatedKey": None},
    "batch_get_item": {
        "Responses": {"payments": [ON_THE_WIRE]},
        "UnprocessedKeys": {"payments": {"Keys": [KEY]}},
    },
    "transact_get_items": {"Responses": [{"Item": ON_THE_WIRE}, {}]},
    "transact_write_items": {},
}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture(scope="module")
def clients(server: ScriptedServer) -> Iterator[list[Any]]:
    """The lean client, then botocore's."""
    url = f"http://127.0.0.1:{server.port}"
    both = [lean(url), botocores(url)]
    yield both
    for client in both:
        client.close()


@pytest.mark.parametrize("method", REQUESTS)
def test_both_send_the_same_request(
    method: str, server: ScriptedServer, clients: list[Any]
) -> None:
    server.will()
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
        assert request.headers["authorization"] == signature_by_botocore(request)
    signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
    assert signed in ours.headers["authorization"]
    assert signed in theirs.headers["authorization"]


@pytest.mark.parametrize("method", REQUESTS)
def test_both_return_the_same_answer(
    method: str, server: ScriptedServer, clients: list[Any]
) -> None:
    reply = http(200, ANSWERS[method])
    server.will(reply, reply)
    ours, theirs = (outcome(client, method, REQUESTS[method]) for client in clients)
    assert ours.kind == "answer"
    assert ours == theirs


def error(code: str, **members: object) -> dict[str, object]:
    return {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "words", **members}


REASONS = [
    {"Code": "None"},
    {"Code": "ConditionalCheckFailed", "Item": ON_THE_WIRE, "Message": "failed"},
    {"Code": "TransactionConflict", "Message": "busy", "Item": None},
]
THROTTLING = [{"reason": "TableReadKeyRangeThroughputExceeded", "resource": "arn:aws:dynamodb"}]
EVERY_MEMBER = {
    "Item": ON_THE_WIRE,
    "CancellationReasons": REASONS,
    "ThrottlingReasons": THROTTLING,
    "throttlingReasons": THROTTLING,
}
BY_A_PROXY: dict[str, None] = {"x_amzn_RequestId": None, "x_amz_crc32": None}
ERRORS: dict[str, Reply] = {
    **{code: http(400, error(code, **EVERY_MEMBER)) for code in DYNAMODB.errors.members},
    "the other message": http(
        400, {"__type": "TransactionCanceledException", "Message": "M", "CancellationReasons": []}
    ),
    **{
        code: http(400, error(code), Date=None)
        for code in (
            "AccessDeniedException",
            "ExpiredTokenException",
            "IncompleteSignatureException",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "SerializationException",
            "UnrecognizedClientException",
            "ValidationException",
        )
    },
    "a code with a prefix alone": http(400, {"__type": "x#ValidationException"}),
    "a code with a suffix": http(400, {"__type": "x#Odd:http://internal/", "message": "m"}),
    "no code": http(400, {"message": "words"}),
    "no members": http(400, {}),
    "nothing": http(400, b""),
    "not JSON": http(400, "Grüße".encode()),
    "forbidden": http(403, error("AccessDeniedException")),
    "too large": http(413, b""),
    "redirected": http(302, b"", Location="http://127.0.0.1:1/"),
    "permanently": http(308, b"", Location="http://127.0.0.1:1/"),
    "retry later": http(503, error("ServiceUnavailable"), Retry_After="1"),
    "InternalServerError, 500": http(500, error("InternalServerError")),
    "a page": http(503, b"<html><b>Http/1.1 Service Unavailable</b></html>", **BY_A_PROXY),
    "nothing, 500": http(500, b"", **BY_A_PROXY),
    "spaces, 502": http(502, b" \n", **BY_A_PROXY),
    "not JSON, 504": http(504, b"upstream timed out", **BY_A_PROXY),
    "an unknown status": http(599, b"", **BY_A_PROXY),
    "no code, 500": http(500, {"message": "words"}),
    "no request id": http(400, error("ValidationException"), x_amzn_RequestId=None),
}


@pytest.mark.parametrize("name", ERRORS)
def test_both_raise_the_same_error(name: str, server: ScriptedServer, clients: list[Any]) -> None:
    server.will(ERRORS[name], ERRORS[name])
    ours, theirs = (outcome(client, "put_item", REQUESTS["put_item"]) for client in clients)
    assert ours.kind != "answer"
    assert ours == theirs
    assert len(server.requests) == 2


def test_errors_have_the_members_of_botocores_model(clients: list[Any]) -> None:
    model = clients[1].meta.service_model
    declared: dict[str, tuple[str, ...]] = {}
    for method in REQUESTS:
        operation = model.operation_model(clients[1].meta.method_to_api_mapping[method])
        declared |= {shape.error_code: tuple(shape.members) for shape in operation.error_shapes}
    assert declared == DYNAMODB.errors.members


def test_exceptions_are_found_by_their_names(clients: list[Any]) -> None:
    ours, theirs = (client.exceptions for client in clients)
    for name in ("ClientError", *DYNAMODB.errors.members):
        assert getattr(ours, name).__name__ == getattr(theirs, name).__name__
        assert issubclass(getattr(ours, name), ours.ClientError)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n"
FAILURES: dict[str, tuple[Reply, str]] = {
    "closed before an answer": (Reply(b"", "close"), "ConnectionClosedError"),
    "reset before an answer": (Reply(b"", "reset"), "ConnectionClosedError"),
    "no HTTP": (Reply(b"SSH-2.0-OpenSSH\r\n\r\n", "close"), "ConnectionClosedError"),
    "no answer": (Reply(b"", "wait"), "ReadTimeoutError"),
    "no end of the headers": (Reply(HEAD, "wait"), "ReadTimeoutError"),
    "no end of the body": (Reply(HEAD + b"\r\n{", "wait"), "ReadTimeoutError"),
    "reset in the body": (Reply(HEAD + b"\r\n{", "reset"), "ConnectionClosedError"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_both_raise_the_same_when_the_connection_fails(
    name: str, server: ScriptedServer, clients: list[Any]
) -> None:
    reply, expected = FAILURES[name]
    server.will(reply, reply)
    ours, theirs = (outcome(client, "put_item", REQUESTS["put_item"]) for client in clients)
    assert ours.kind == expected
    assert ours == theirs
    assert len(server.requests) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://nowhere.invalid:8000"])
def test_both_raise_the_same_when_no_server_listens(url: str) -> None:
    ours, theirs = (
        outcome(client, "get_item", REQUESTS["get_item"]) for client in (lean(url), botocores(url))
    )
    assert ours.kind == "EndpointConnectionError"
    assert ours == theirs


DAMAGED: dict[str, Reply] = {
    "closed in the headers": Reply(HEAD, "close"),
    "closed in the body": Reply(HEAD + b'\r\n{"Item":', "close"),
    "another checksum": http(200, ANSWERS["get_item"], x_amz_crc32="1"),
    "an error with another checksum": http(400, error("ValidationException"), x_amz_crc32="1"),
    "not JSON": http(200, b"<html></html>"),
    "a list": http(200, []),
    "nothing": http(200, b""),
    "no UTF-8": http(200, b'{"Item":{"id":{"S":"\xff"}}}'),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_answer_is_no_answer(name: str, server: ScriptedServer) -> None:
    """botocore without retries takes some of them for an answer without an item."""
    client = lean(f"http://127.0.0.1:{server.port}")
    server.will(DAMAGED[name])
    with pytest.raises(HTTPClientError) as lost:
        client.get_item(**REQUESTS["get_item"])
    assert type(lost.value) in (UnusableResponse, ConnectionClosedError)
    assert client.get_item(**REQUESTS["get_item"])["ResponseMetadata"]["HTTPStatusCode"] == 200
    client.close()


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_without_end_is_not_read(
    announced: bool, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 1000)
    client = lean(f"http://127.0.0.1:{server.port}")
    unannounced: dict[str, None] = {} if announced else {"Content_Length": None}
    large = http(200, b" " * 1998 + b"{}", **unannounced)
    server.will(large._replace(then="close"))
    with pytest.raises(UnusableResponse, match="more than 1000 bytes"):
        client.get_item(**REQUESTS["get_item"])
    fits = http(200, b" " * 998 + b"{}", **unannounced)
    server.will(fits._replace(then="close"))
    assert "ResponseMetadata" in client.get_item(**REQUESTS["get_item"])
    client.close()


def test_a_kept_connection_is_used_again_and_replaced_when_it_was_closed(
    server: ScriptedServer,
) -> None:
    client = lean(f"http://127.0.0.1:{server.port}")
    last = http(200, {})._replace(then="close")
    server.will(*(http(200, {}) for _ in range(20)), last)
    before = server.connections
    for _ in range(21):
        client.get_item(**REQUESTS["get_item"])
    assert server.connections == before + 1
    client.get_item(**REQUESTS["get_item"])
    assert server.connections == before + 2
    client.close()
