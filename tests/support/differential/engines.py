"""Both engines behind one call, with answers in wire format."""

from __future__ import annotations

import base64
import http.client
import json
import re
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from simulation.dynamodb import InMemoryClient, InMemoryDynamoDB

_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=testing/20260101/eu-west-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True)
class Answer:
    """An engine's answer: `code` is empty for a success."""

    code: str
    document: dict[str, Any]

    @property
    def message(self) -> str:
        """As text."""
        return str(self.document.get("Message") or self.document.get("message") or "")


class Engine(Protocol):
    """An engine that answers requests."""

    def ask(self, operation: str, body: dict[str, Any]) -> Answer: ...


class Local:
    """AWS's engine over a persistent connection: botocore takes three times as long."""

    def __init__(self, endpoint_url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=60)
        self.close = self._connection.close

    def ask(self, operation: str, body: dict[str, Any]) -> Answer:
        headers = {
            "Authorization": _SIGNED,
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        }
        self._connection.request("POST", "/", json.dumps(travelling(body)), headers)
        answer = self._connection.getresponse()
        document = json.loads(answer.read())
        if answer.status == 200:
            return Answer("", document)
        return Answer(document.pop("__type").rpartition("#")[2], document)


class Memory:
    """The in-memory engine, through the client that the runtime uses."""

    def __init__(self, database: InMemoryDynamoDB) -> None:
        self.client: Any = InMemoryClient(database)

    def ask(self, operation: str, body: dict[str, Any]) -> Answer:
        method = getattr(self.client, _WORD.sub("_", operation).lower())
        try:
            return Answer("", travelling(_plain(method(**body))))
        except ClientError as error:
            refused = _plain(error.response)
            code = refused.pop("Error")["Code"]
            return Answer(code, travelling(refused))


def _plain(document: Any) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "ResponseMetadata"}


def travelling(value: Any) -> Any:
    """A copy with bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: travelling(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [travelling(each) for each in value]
    return value
