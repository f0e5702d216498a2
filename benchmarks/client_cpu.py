"""CPU time of one call of a DynamoDB client, with an instant answer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3

from benchmarks.replay import Exchange, Recording, replayed
from runtime.functions.composition.real_outside import real_outside
from tests.support.engines.engine import ENVIRONMENT

ITEM: Final[dict[str, Any]] = {
    "id": {"S": "pay_01JB2M7Q9ZK3T4V5W6X7Y8Z9A0"},
    "amount": {"N": "4999"},
    "status": {"S": "succeeded"},
    "description": {"S": "Order 2026-004217: two tickets, row 12" * 15},
    "version": {"N": "3"},
}
"""Some 0.7 KB, as most rows have."""
_HEADERS: Final = {"content-type": "application/x-amz-json-1.0", "content-length": "2"}
WARM: Final = 5


def client_cpu_seconds(calls: int, *, lean: bool) -> float:
    """Seconds of this machine's CPU for a put of ITEM."""
    recording = Recording()
    recording.add(Exchange("PutItem", "", 200, _HEADERS, b"{}"))
    with _credentials(), replayed(recording):
        client: Any = real_outside().aws.dynamodb(lean=lean)
        for _ in range(WARM):
            client.put_item(TableName="payments", Item=ITEM)
        begun = time.process_time()
        for _ in range(calls):
            client.put_item(TableName="payments", Item=ITEM)
        return (time.process_time() - begun) / calls


@contextmanager
def _credentials() -> Iterator[None]:
    before, session = dict(os.environ), boto3.DEFAULT_SESSION
    os.environ |= ENVIRONMENT
    boto3.DEFAULT_SESSION = boto3.Session()
    try:
        yield
    finally:
        boto3.DEFAULT_SESSION = session
        os.environ.clear()
        os.environ.update(before)
