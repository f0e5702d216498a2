"""CPU time of one call of a DynamoDB client, over a real socket, with an instant answer."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.requests.client import lambda_environment
from benchmarks.requests.instant_server import instant_server
from benchmarks.requests.machine_speed import ITEM
from runtime.functions.composition import aws_clients

WARM_CALLS: Final = 20


def client_cpu_seconds(calls: int, *, lean: bool) -> float:
    """Seconds of this machine's CPU for a put of ITEM."""
    with instant_server({"PutItem": b"{}"}) as url, lambda_environment(url):
        client = aws_clients.dynamodb(lean=lean)
        for _ in range(WARM_CALLS):
            client.put_item(TableName="payments", Item=ITEM)
        begun = time.process_time()
        for _ in range(calls):
            client.put_item(TableName="payments", Item=ITEM)
        return (time.process_time() - begun) / calls
