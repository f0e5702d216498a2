"""How fast this machine runs Python, compared with the one for which targets were set.

Processors differ by a factor of two or more, and a shared one from minute to minute. So the same
piece of work is measured in turn with each request: one call of botocore's DynamoDB client, whose
version is pinned, on an answer from memory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.requests.replay import Exchange, Recording, replayed
from runtime.functions.composition import aws_clients

REFERENCE_CALL_US: Final = 540.0
"""CPU microseconds of the call on the machine for which the targets were set.

That machine is known by what the functions took there before they had a client of their own: the
ratios of seven requests of that time to this call, measured in turn, give 500 to 596 µs.
"""
ITEM: Final[dict[str, Any]] = {
    "id": {"S": "pay_01JB2M7Q9ZK3T4V5W6X7Y8Z9A0"},
    "amount": {"N": "4999"},
    "status": {"S": "succeeded"},
    "description": {"S": "Order 2026-004217: two tickets, row 12" * 15},
    "version": {"N": "3"},
}
"""Some 0.7 KB, as most rows have."""
_WARM_CALLS: Final = 20
_REQUEST: Final[dict[str, Any]] = {"TableName": "payments", "Key": {"id": ITEM["id"]}}
_HEADERS: Final = {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "0" * 52}


class MachineSpeed:
    """Measures the call; botocore's client is built once."""

    def __init__(self) -> None:
        self._client = aws_clients.botocore_dynamodb()
        self.call_us(_WARM_CALLS)

    def call_us(self, calls: int) -> float:
        """CPU microseconds of one call on this machine, of all threads of this process."""
        with _answering():
            begun = time.process_time()
            for _ in range(calls):
                self._client.get_item(**_REQUEST)
            return (time.process_time() - begun) / calls * 1_000_000


@contextmanager
def _answering() -> Iterator[None]:
    content = json.dumps({"Item": ITEM}).encode()
    recording = Recording()
    recording.add(Exchange("GetItem", "", 200, _HEADERS, content))
    with replayed(recording):
        yield
