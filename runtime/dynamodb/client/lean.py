"""The lean client: one JSON document, one signature and one HTTP request per operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from runtime.dynamodb.client.answers import (
    EXCEPTIONS,
    answer_of,
    clock_skew,
    error_of,
    request_body,
)
from runtime.dynamodb.client.port import DynamoDbExceptions
from runtime.dynamodb.client.signing import Credentials, Signer
from runtime.dynamodb.client.transport import Response, Transport, UnusableResponse

SERVICE: Final = "dynamodb"
TARGET_PREFIX: Final = "DynamoDB_20120810"
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
USER_AGENT: Final = "payment-platform"

Answer = dict[str, Any]


class LeanClient:
    """DynamoDB's operations with botocore's requests, answers and errors. Threads may share it.

    Like botocore's client without retries, with two differences that the store relies on nowhere:
    a response that is damaged (checksum, length, not JSON) is an HTTPClientError, which the store
    retries, and a request rejected for a wrong clock is repeated once with AWS's time.
    """

    exceptions: DynamoDbExceptions = EXCEPTIONS

    def __init__(
        self,
        transport: Transport,
        signer: Signer,
        credentials: Callable[[], Credentials],
        now: Callable[[], datetime],
    ) -> None:
        """`credentials` is called for each request; `now` is the machine's clock in UTC."""
        self._transport, self._signer = transport, signer
        self._credentials, self._now = credentials, now
        self._clock_offset = timedelta(0)

    def batch_get_item(self, **request: Any) -> Answer:
        """BatchGetItem."""
        return self._call("BatchGetItem", request)

    def delete_item(self, **request: Any) -> Answer:
        """DeleteItem."""
        return self._call("DeleteItem", request)

    def get_item(self, **request: Any) -> Answer:
        """GetItem."""
        return self._call("GetItem", request)

    def put_item(self, **request: Any) -> Answer:
        """PutItem."""
        return self._call("PutItem", request)

    def query(self, **request: Any) -> Answer:
        """Query."""
        return self._call("Query", request)

    def scan(self, **request: Any) -> Answer:
        """Scan."""
        return self._call("Scan", request)

    def transact_get_items(self, **request: Any) -> Answer:
        """TransactGetItems."""
        return self._call("TransactGetItems", request)

    def transact_write_items(self, **request: Any) -> Answer:
        """TransactWriteItems."""
        return self._call("TransactWriteItems", request)

    def update_item(self, **request: Any) -> Answer:
        """UpdateItem."""
        return self._call("UpdateItem", request)

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

    def _call(self, operation: str, request: Mapping[str, Any]) -> Answer:
        body, credentials = request_body(request), self._credentials()
        repeated = 0
        while True:
            offset = self._clock_offset
            signed_at = self._now() + offset
            response = self._send(operation, body, credentials, signed_at)
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                return self._answer(response, repeated)
            error = error_of(response, operation, repeated, credentials.token)
            skew = clock_skew(error, signed_at)
            if repeated or skew is None:
                raise error
            self._clock_offset = offset + skew
            repeated += 1

    def _send(
        self, operation: str, body: bytes, credentials: Credentials, signed_at: datetime
    ) -> Response:
        timestamp = signed_at.strftime("%Y%m%dT%H%M%SZ")
        headers = {
            "content-type": CONTENT_TYPE,
            "host": self._transport.endpoint.authority,
            "x-amz-date": timestamp,
        }
        if credentials.token is not None:
            headers["x-amz-security-token"] = credentials.token
        headers["x-amz-target"] = f"{TARGET_PREFIX}.{operation}"
        authorization = self._signer.authorization(credentials, headers, body, timestamp)
        headers["authorization"] = authorization
        headers["user-agent"] = USER_AGENT
        return self._transport.send(headers, body)

    def _answer(self, response: Response, repeated: int) -> Answer:
        try:
            return answer_of(response, repeated)
        except (ValueError, RecursionError) as error:
            url = self._transport.endpoint.url
            raise UnusableResponse(endpoint_url=url, error="it is not JSON") from error
