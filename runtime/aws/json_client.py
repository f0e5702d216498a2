"""One operation of an AWS API: one JSON document, one signature and one HTTP request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from runtime.aws.answers import DeclaredErrors, answer_of, clock_skew, error_of, request_body
from runtime.aws.signing import Credentials, Signer, amz_date
from runtime.aws.transport import Response, Transport, UnusableResponse

USER_AGENT: Final = "payment-platform"

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JsonApi:
    """An API of AWS's JSON protocol. `name` is that of its host, and of the signature."""

    name: str
    target_prefix: str
    content_type: str
    errors: DeclaredErrors


@dataclass(frozen=True, slots=True)
class Access:
    """How a client connects and signs.

    `credentials` is called for each request; `now` is the machine's clock in UTC.
    """

    transport: Transport
    signer: Signer
    credentials: Callable[[], Credentials]
    now: Callable[[], datetime]


class JsonClient:
    """Calls operations with botocore's requests, answers and errors. Threads may share it.

    Like botocore's client without retries, with two differences: a response that is damaged
    (checksum, length, not JSON) is an HTTPClientError, and a request rejected for a wrong clock is
    repeated once with AWS's time.
    """

    def __init__(self, api: JsonApi, access: Access) -> None:
        self._api, self._transport, self._signer = api, access.transport, access.signer
        self._credentials, self._now = access.credentials, access.now
        self._clock_offset = timedelta(0)

    def call(self, operation: str, request: Mapping[str, Any]) -> Answer:
        """The operation's answer.

        Raises ClientError for an error that AWS answers, botocore's ConnectionError or
        HTTPClientError if no usable answer arrives.
        """
        body, credentials = request_body(request), self._credentials()
        repeated = 0
        while True:
            offset = self._clock_offset
            signed_at = self._now() + offset
            response = self._send(operation, body, credentials, signed_at)
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                return self._answer(response, repeated)
            error = error_of(response, operation, repeated, credentials.token, self._api.errors)
            skew = clock_skew(error, signed_at)
            if repeated or skew is None:
                raise error
            self._clock_offset = offset + skew
            repeated += 1

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

    def _send(
        self, operation: str, body: bytes, credentials: Credentials, signed_at: datetime
    ) -> Response:
        timestamp = amz_date(signed_at)
        headers = {
            "content-type": self._api.content_type,
            "host": self._transport.endpoint.authority,
            "x-amz-date": timestamp,
        }
        if credentials.token is not None:
            headers["x-amz-security-token"] = credentials.token
        headers["x-amz-target"] = f"{self._api.target_prefix}.{operation}"
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
