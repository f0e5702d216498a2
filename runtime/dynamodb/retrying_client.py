"""Calls to DynamoDB, with retries of transient errors.

Transient errors (conflicts, throttling, lost responses) are retried with full jitter while the
invocation has time. A retried transaction repeats the identical request with the same
ClientRequestToken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from runtime.core.errors import Unavailable
from runtime.core.outside import Outside
from runtime.dynamodb.client.port import DynamoDbClient, Operation
from runtime.dynamodb.codec import Codec
from runtime.dynamodb.errors import CONFLICT, transient_code, transient_reason
from runtime.dynamodb.usage import Usage

BACKOFF_BASE_SECONDS = 0.025
BACKOFF_CAP_SECONDS = 1.0
ANSWER_MARGIN_SECONDS = 0.5
"""Time reserved to answer that the database is busy."""


@dataclass(frozen=True)
class RetryingClient:
    """A DynamoDB client with the function's tables and a retry policy.

    `remaining_seconds` returns how long the invocation may still run. `usage` counts calls.
    """

    client: DynamoDbClient
    tables: Mapping[str, str]
    codec: Codec
    remaining_seconds: Callable[[], float]
    outside: Outside
    usage: Usage = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "usage", Usage(self.outside.lock()))

    def _call(self, call: Operation, **request: Any) -> Any:
        attempt = 0
        while True:
            self.usage.called()
            try:
                answer = call(**request)
            except self.client.exceptions.TransactionCanceledException as canceled:
                reason = transient_reason(canceled)
            except ClientError as error:
                reason = transient_code(error)
            except (ConnectionError, HTTPClientError) as lost:
                reason = type(lost).__name__
            else:
                self.usage.moved(_items_read(answer))
                return answer
            self._back_off(attempt, reason)
            attempt += 1

    def _back_off(
        self, attempt: int, reason: str, conflict_cap_seconds: float = BACKOFF_CAP_SECONDS
    ) -> None:
        cap = conflict_cap_seconds if reason == CONFLICT else BACKOFF_CAP_SECONDS
        ceiling = min(cap, BACKOFF_BASE_SECONDS * 2 ** min(attempt, 16))
        delay = self.outside.chance.uniform(0, ceiling)
        if self.remaining_seconds() < delay + ANSWER_MARGIN_SECONDS:
            raise Unavailable(f"The database was busy for too long ({reason}); try again")
        self.usage.retried()
        self.outside.sleep(delay)


def _items_read(answer: Mapping[str, Any]) -> int:
    if "Items" in answer:
        return len(answer["Items"])
    if "Responses" in answer:
        responses = answer["Responses"]
        if isinstance(responses, list):
            return sum("Item" in each for each in responses)
        return sum(len(items) for items in responses.values())
    return int("Item" in answer)
