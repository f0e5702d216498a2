"""CPU time of a request in the real function, with a DynamoDB that answers at once.

The handlers get events as API Gateway sends them. Each request is made once against an engine of
tables; then it is made many times against the recorded answers, under a new idempotency key each
time unless it repeats one. The processor answers at once, too: the sandbox's own storage
is not a cost of the platform.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import boto3

from benchmarks.figures import Figures
from benchmarks.requests.machine_speed import REFERENCE_CALL_US, MachineSpeed
from benchmarks.requests.recorded_aws import RecordedAws, recorded_aws
from benchmarks.requests.replay import Recording, recorded, replayed
from benchmarks.setting import BenchmarkDependencies
from local.errors import LocalError
from runtime.core.observability import logger
from runtime.functions import process, query
from runtime.functions.composition.process_services import process_services
from runtime.functions.composition.query_services import query_services
from runtime.payments.processors.port import ChargeRequest
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.payments.rules import ChargeReply
from tests.support.engines.engine import ENVIRONMENT, Engine
from tests.support.http import OPERATOR, Context, environment, http_event, make_tables, token_of

ROUNDS: Final = 50
"""Short measurements of each request, each beside one of the machine's speed: the median of their
ratios counts, because a shared machine's speed changes within seconds."""
WARM_REQUESTS: Final = 20
_HINT: Final = (
    "The benchmark's requests no longer fit the API: update benchmarks/requests/request_cpu.py."
)
PAYMENTS_OF_A_LIST: Final = 20

HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "authorization": "Bearer " + "x" * 680,
    "host": "abc123.execute-api.eu-west-1.amazonaws.com",
    "user-agent": "shop-backend/4.2.1 (python-requests/2.32.3; Linux x86_64)",
    "x-amzn-trace-id": "Root=1-67a0c0de-5f2b1d3e4a6b7c8d9e0f1a2b",
    "x-forwarded-for": "203.0.113.42",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
}
SALE: Final = {
    "amount": 4999,
    "currency": "USD",
    "payment_method": "tok_approved",
    "description": "Order 2026-004217: two tickets, row 12",
    "metadata": {"order_id": "2026-004217", "channel": "web"},
}


@dataclass(frozen=True)
class Scenario:
    """A measured request. `most_us` is the target in microseconds on the machine of targets."""

    name: str
    make: Callable[[str], dict[str, Any]]
    """The event of a request with this idempotency key."""
    status: int
    most_us: float


class Shop:
    """A merchant with two accounts and enough payments to list, on an engine of tables."""

    def __init__(self) -> None:
        operator: dict[str, Any] = {"authorizer": OPERATOR}
        shop = {"name": "Bench Shop", "email": "bench@shops.example"}
        self.merchant = self._made("/v1/merchants", shop, **operator)
        self.caller: dict[str, Any] = {"authorizer": token_of(self.merchant)}
        wallet = {"account_type": "wallet", "currency": "USD", "merchant_id": self.merchant}
        rich = {**wallet, "opening_balance": 10**9}
        self.source = self._made("/v1/accounts", rich, **operator)
        self.target = self._made("/v1/accounts", wallet, **operator)
        for _ in range(PAYMENTS_OF_A_LIST):
            self.payment = self._made("/v1/payments", SALE, **self.caller)

    def scenarios(self) -> list[Scenario]:
        """The requests to measure; repeated ones have been made once."""
        transfer = {
            "from_account_id": self.source,
            "to_account_id": self.target,
            "amount": 700,
            "currency": "USD",
            "description": "Invoice 2026-0042",
            "metadata": {"invoice": "2026-0042"},
        }
        again = uuid.uuid4().hex
        self._made("/v1/transfers", transfer, key=again, **self.caller)
        self._made("/v1/payments", SALE, key=again, **self.caller)
        return [
            Scenario("transfer", lambda key: self._post("/v1/transfers", transfer, key), 201, 850),
            Scenario("sale", lambda key: self._post("/v1/payments", SALE, key), 201, 1250),
            Scenario("GET payment", self._getting(f"/v1/payments/{self.payment}"), 200, 320),
            Scenario("list of 20", self._getting("/v1/payments", query="limit=20"), 200, 1300),
            Scenario("GET account", self._getting(f"/v1/accounts/{self.source}"), 200, 200),
            Scenario(
                "repeated transfer",
                lambda _: self._post("/v1/transfers", transfer, again),
                201,
                1150,
            ),
            Scenario("repeated sale", lambda _: self._post("/v1/payments", SALE, again), 201, 620),
        ]

    def api_key(self, scope: Mapping[str, Any]) -> str:
        """A new API key of the merchant."""
        headers = {**HEADERS, "idempotency-key": uuid.uuid4().hex}
        event = http_event("POST", "/v1/api-keys", scope, headers=headers, authorizer=OPERATOR)
        answer = answer_to(event)
        key: str = json.loads(answer["body"])["secret"]
        return key

    def _post(self, path: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        return http_event(
            "POST", path, body, headers={**HEADERS, "idempotency-key": key}, **self.caller
        )

    def _getting(self, path: str, query: str = "") -> Callable[[str], dict[str, Any]]:
        return lambda _: http_event("GET", path, query=query, headers=HEADERS, **self.caller)

    def _made(self, path: str, body: Mapping[str, Any], *, key: str = "", **caller: Any) -> str:
        """The id of what a POST creates."""
        headers = {**HEADERS, "idempotency-key": key or uuid.uuid4().hex}
        answer = answer_to(http_event("POST", path, body, headers=headers, **caller))
        if answer["statusCode"] != 201:
            raise LocalError(f"The benchmark's data was refused: {answer['body']}", hint=_HINT)
        identifier: str = json.loads(answer["body"])["id"]
        return identifier


def answer_to(event: dict[str, Any]) -> dict[str, Any]:
    """The function's answer to an event."""
    reads = event["requestContext"]["http"]["method"] == "GET"
    context: Any = Context()
    answer: dict[str, Any] = (query if reads else process).handler(event, context)
    return answer


def run(bench: BenchmarkDependencies) -> None:
    """Measure in this process, on recorded answers of an engine, and print."""
    size = bench.size.cpu_requests
    with bench.table_engine(bench.progress) as engine, stage(engine), instant_processor():
        rows = []
        speed = MachineSpeed()
        with bench.progress.step("Measure the CPU of requests"):
            for scenario in Shop().scenarios():
                recording = record(scenario)
                rounds = [
                    (cpu_us(scenario, recording, size), speed.call_us(size)) for _ in range(ROUNDS)
                ]
                scaled = median(taken / call * REFERENCE_CALL_US for taken, call in rounds)
                best = min(taken for taken, _ in rounds)
                calls = str(len(recording.exchanges))
                target = f"≤ {scenario.most_us:.0f}"
                rows.append((scenario.name, calls, f"{best:.0f}", f"{scaled:.0f}", target))
    titles = ("CPU of a request, µs", "calls of DynamoDB", "best", "scaled", "target")
    bench.show(Figures("cpu", titles, rows, f"on answers of {engine.name}, {ROUNDS} rounds"))


def record(scenario: Scenario) -> Recording:
    """The second of two requests: the first fills the function's caches."""
    expect(scenario, answer_to(scenario.make(uuid.uuid4().hex)))
    with recorded() as recording:
        expect(scenario, answer_to(scenario.make(uuid.uuid4().hex)))
    return recording


def cpu_us(scenario: Scenario, recording: Recording, requests: int) -> float:
    """CPU microseconds of a request, of all threads of this process."""
    with replayed(recording):
        for _ in range(min(WARM_REQUESTS, requests)):
            expect(scenario, answer_to(scenario.make(uuid.uuid4().hex)))
        events = [scenario.make(uuid.uuid4().hex) for _ in range(requests)]
        begun = time.process_time()
        for event in events:
            answer_to(event)
        return (time.process_time() - begun) / requests * 1_000_000


def expect(scenario: Scenario, answer: Mapping[str, Any]) -> None:
    """Raises LocalError if the answer has another status."""
    if answer["statusCode"] != scenario.status:
        said = f"{scenario.name} was answered {answer['statusCode']}: {answer['body']}"
        raise LocalError(said, hint=_HINT)


@contextmanager
def stage(engine: Engine) -> Iterator[RecordedAws]:
    """The functions configured for an engine's tables, with a KMS and the log discarded."""
    tables = make_tables(engine.dynamodb(), f"{uuid.uuid4().hex[:8]}-")
    before, session = dict(os.environ), boto3.DEFAULT_SESSION
    log: Any = logger.registered_handler
    stream = log.stream
    os.environ |= ENVIRONMENT
    del os.environ["DYNAMODB_CLIENT"]  # the runtime's default, not that of tests on moto
    if engine.endpoint_url is not None:
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = engine.endpoint_url
    os.environ |= environment(tables, key_arn="arn:aws:kms:eu-west-1:1:key/bench")
    os.environ["MERCHANT_CACHE_SECONDS"] = "300"
    boto3.DEFAULT_SESSION = boto3.Session()
    forget_services()
    try:
        with open(os.devnull, "w") as discarded, recorded_aws() as aws:  # noqa: PTH123 - a device
            log.stream = discarded
            os.environ["AWS_ENDPOINT_URL_KMS"] = aws.url
            yield aws
    finally:
        log.stream = stream
        forget_services()
        boto3.DEFAULT_SESSION = session
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def instant_processor() -> Iterator[None]:
    """The sandbox processor repeats its first answer to a charge while the block runs."""
    charge = SandboxProcessor.charge
    answers: list[ChargeReply] = []

    def repeat(processor: SandboxProcessor, request: ChargeRequest) -> ChargeReply:
        if not answers:
            answers.append(charge(processor, request))
        return answers[0]

    SandboxProcessor.charge = repeat  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        SandboxProcessor.charge = charge  # type: ignore[method-assign]


def forget_services() -> None:
    """The next request of each function is answered without cached data."""
    process_services.cache_clear()
    query_services.cache_clear()
