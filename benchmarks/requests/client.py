"""CPU of one call to DynamoDB by the lean client and by botocore's, over a real socket.

The calls are those of real requests: the transaction of a transfer, the query of a list, and the
transfer's own row put by itself. A process of its own answers at once, so that only the client's
CPU is measured, system calls included.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.figures import Figures
from benchmarks.requests.instant_server import instant_server
from benchmarks.requests.replay import Exchange, recorded
from benchmarks.requests.request_cpu import (
    PAYMENTS_OF_A_LIST,
    Scenario,
    Shop,
    answer_to,
    instant_processor,
    stage,
)
from benchmarks.setting import BenchmarkDependencies
from runtime.aws.answers import parsed
from runtime.functions.composition import aws_clients
from tests.support.engines.engine import ENVIRONMENT

ROUNDS: Final = 5
"""The best of this many rounds counts: other processes can only make a round slower."""
WARM_CALLS: Final = 20
SESSION_TOKEN: Final = "t" * 900
"""About as long as that of a Lambda function's role."""


@dataclass(frozen=True)
class Call:
    """A call to measure: the client's method, its request, and the body of its answer."""

    name: str
    method: str
    operation: str
    request: Mapping[str, Any]
    answer: bytes


def run(bench: BenchmarkDependencies) -> None:
    """Record the calls on an engine, measure both clients in turns, and print."""
    with bench.table_engine(bench.progress) as engine, stage(engine), instant_processor():
        calls = _calls(Shop())
    rows = []
    answers = {call.operation: call.answer for call in calls}
    with (
        bench.progress.step("Measure the DynamoDB clients"),
        instant_server(answers) as url,
        lambda_environment(url),
    ):
        botocore, lean = aws_clients.botocore_dynamodb(), aws_clients.dynamodb(lean=True)
        assert type(botocore) is not type(lean)  # noqa: S101 - else botocore was measured twice
        for call in calls:
            theirs, ours = _best_us((botocore, lean), call, bench.size.client_calls)
            rows.append((call.name, f"{theirs:.0f}", f"{ours:.0f}", f"{ours / theirs:.2f}"))
    titles = ("CPU of a call to DynamoDB, µs", "botocore", "lean", "lean : botocore")
    bench.show(Figures("client", titles, rows, f"best of {ROUNDS} rounds"))


def _calls(shop: Shop) -> list[Call]:
    scenarios = {scenario.name: scenario for scenario in shop.scenarios()}
    written = _recorded("TransactWriteItems", scenarios["transfer"])
    found = _recorded("Query", scenarios["list of 20"])
    transaction = parsed(written.body.encode())
    writes = transaction["TransactItems"]
    row = next(write["Put"] for write in writes if "Put" in write)
    put = {"TableName": row["TableName"], "Item": row["Item"]}
    query = parsed(found.body.encode())
    return [
        Call("PutItem, one row of a transfer", "put_item", "PutItem", put, b"{}"),
        Call(
            f"TransactWriteItems, the {len(writes)} writes of a transfer",
            "transact_write_items",
            "TransactWriteItems",
            transaction,
            written.content,
        ),
        Call(f"Query of {PAYMENTS_OF_A_LIST}", "query", "Query", query, found.content),
    ]


def _recorded(operation: str, scenario: Scenario) -> Exchange:
    answer_to(scenario.make(uuid.uuid4().hex))
    with recorded() as recording:
        answer_to(scenario.make(uuid.uuid4().hex))
    return next(each for each in recording.exchanges if each.operation == operation)


def _best_us(clients: Sequence[Any], call: Call, calls: int) -> list[float]:
    methods = [getattr(client, call.method) for client in clients]
    for method in methods:
        for _ in range(min(WARM_CALLS, calls)):
            method(**call.request)
    rounds = [[_cpu_us(method, call, calls) for method in methods] for _ in range(ROUNDS)]
    return [min(each) for each in zip(*rounds, strict=True)]


def _cpu_us(method: Callable[..., object], call: Call, calls: int) -> float:
    begun = time.process_time()
    for _ in range(calls):
        method(**call.request)
    return (time.process_time() - begun) / calls * 1_000_000


@contextmanager
def lambda_environment(url: str) -> Iterator[None]:
    """Keys as a function has them, and DynamoDB at `url`, while the block runs."""
    before = dict(os.environ)
    os.environ |= ENVIRONMENT | {"AWS_SESSION_TOKEN": SESSION_TOKEN}
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = url
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
