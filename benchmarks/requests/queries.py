"""Queries: round trips, read units and CPU of what merchants read most.

Payments and transfers are made, and all that is derived from them, on an AWS in memory that counts
each query's calls. The rows are then copied to an engine of tables, whose recorded answers give
the CPU time of the real function with the real client (see request_cpu).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.bill.counted_stage import PLAIN_SECONDS, CountedStage
from benchmarks.figures import Figures
from benchmarks.requests.request_cpu import HEADERS, SALE, Scenario, cpu_us, record, stage
from benchmarks.setting import BenchmarkDependencies
from runtime.encryption.models import DataKey
from runtime.functions.composition.query_services import query_services
from simulation.outside import BEGINNING
from simulation.platform.http import EVERYTHING, OPERATOR, HttpRequest, token
from stacks.costs.prices import MILLION, PRICES
from tests.support.engines.engine import Engine
from tests.support.http import http_event

QUERY: Final = "query"
ROUNDS: Final = 3
"""The best of so many rounds counts: other processes can only make a round slower."""
CURRENCY: Final = "USD"
OPENING: Final = 1_000_000
AGE: Final = timedelta(hours=1)
"""How long ago the rows were made: queries of the real clock find all of them."""
LATENCY_TITLE: Final = f"ms of waiting at {PLAIN_SECONDS * 1000:.0f} a call"


@dataclass(frozen=True)
class Query:
    """A GET request of a merchant."""

    name: str
    path: str
    query: Mapping[str, str | int]

    def scenario(self, caller: Mapping[str, str]) -> Scenario:
        """The request as request_cpu measures it."""
        event = http_event(
            "GET", self.path, query=urlencode(self.query), headers=HEADERS, authorizer=caller
        )
        return Scenario(self.name, lambda _: event, 200, 0.0)


@dataclass(frozen=True)
class Counted:
    """What one query took on the counted stage. `waited`: seconds of calls, some in parallel."""

    calls: int
    read_units: float
    waited: float


class Shop:
    """A merchant with payments and transfers, and all that is derived from them."""

    def __init__(self, operations: int) -> None:
        self.stage = CountedStage()
        self.stage.clock.now = (datetime.now(UTC) - AGE - BEGINNING).total_seconds()
        self._requests = 0
        merchant = self._post(
            "/v1/merchants", {"name": "Bench Shop", "email": "bench@shops.example"}, OPERATOR
        )
        self.merchant_id: str = merchant["id"]
        self.caller = token(self.merchant_id, *EVERYTHING, subject="shop-backend@7d1f0c2a")
        wallet = {"account_type": "wallet", "currency": CURRENCY, "merchant_id": self.merchant_id}
        self.source: str = self._post(
            "/v1/accounts", {**wallet, "opening_balance": OPENING}, OPERATOR
        )["id"]
        target = self._post("/v1/accounts", wallet, OPERATOR)["id"]
        transfer = {
            "from_account_id": self.source,
            "to_account_id": target,
            "amount": 700,
            "currency": CURRENCY,
        }
        self.midway = ""
        for number in range(operations):
            if number == operations // 2:
                self.midway = self.stage.outside.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            self._post("/v1/transfers", transfer, self.caller)
            self.payment: str = self._post("/v1/payments", SALE, self.caller)["id"]
        self.stage.drain()

    def queries(self) -> list[Query]:
        """What is measured."""
        receivable = f"acc_receivable_{self.merchant_id}_{CURRENCY}"
        account, hot = f"/v1/accounts/{self.source}", f"/v1/accounts/{receivable}"
        return [
            Query("balance", account, {}),
            Query("balance of a hot account", hot, {}),
            Query("balance at a time", f"{account}/balance", {"at": self.midway}),
            Query("payment", f"/v1/payments/{self.payment}", {}),
            Query("list of 20 payments", "/v1/payments", {"limit": 20}),
            Query("list of 20 transfers", "/v1/transfers", {"limit": 20}),
            Query("summary of 30 days", "/v1/payments/summary", {}),
            Query("statement, 20 entries", f"{account}/entries", {"limit": 20}),
            Query("statement of a hot account", f"{hot}/entries", {"limit": 20}),
            Query("audit of a payment", "/v1/audit", {"entity_id": self.payment}),
            Query("verification of its chain", f"/v1/audit/{self.payment}/verify", {}),
        ]

    def counted(self, query: Query) -> Counted:
        """The second of two requests: the first fills the function's caches."""
        for _ in range(2):
            self.stage.forget_uses()
            text = {name: str(value) for name, value in query.query.items()}
            request = HttpRequest("bench", "GET", query.path, query=text, credential=self.caller)
            response = self.stage.api(request)
            if response.status != 200:
                raise RuntimeError(f"{query.path} was answered {response.status}: {response.text}")
        use = self.stage.uses[QUERY]
        return Counted(use.calls, use.read_units, use.waited)

    def copy_to(self, engine: Engine, names: Mapping[str, str]) -> None:
        """Put the rows into an engine's tables. Data keys stay: each KMS decrypts only its own."""
        client = engine.dynamodb()
        for name, table in self.stage.database.tables.items():
            if name in names and name != DataKey.table_schema.name:
                for item in table.items.values():
                    client.put_item(TableName=names[name], Item=item)

    def _post(self, path: str, body: Mapping[str, Any], caller: Any) -> Any:
        self._requests += 1
        headers = {"idempotency-key": f"{self._requests:036d}"}
        request = HttpRequest("bench", "POST", path, dict(body), headers=headers, credential=caller)
        response = self.stage.api(request)
        if response.status != 201:
            raise RuntimeError(f"{path} was answered {response.status}: {response.text}")
        return response.body


def run(bench: BenchmarkDependencies) -> None:
    """Count and measure, and print."""
    size = bench.size
    with bench.progress.step("Make payments and transfers, and all that is derived from them"):
        shop = Shop(size.queried_operations)
        counted = {query.name: shop.counted(query) for query in shop.queries()}
    titles = ("a query", "calls", "read units", LATENCY_TITLE, "CPU µs", "$ per million, reads")
    rows = []
    measuring = bench.progress.step("Measure the CPU of queries")
    with bench.table_engine(bench.progress) as engine, stage(engine), measuring:
        shop.copy_to(engine, query_services().store.tables)
        for query in shop.queries():
            scenario = query.scenario(shop.caller)
            recording = record(scenario)
            best = min(cpu_us(scenario, recording, size.query_requests) for _ in range(ROUNDS))
            found = counted[query.name]
            row = (
                query.name,
                str(found.calls),
                f"{found.read_units:g}",
                f"{found.waited * 1_000:.0f}",
                f"{best:.0f}",
                f"{PRICES['dynamodb-read'].of(found.read_units * MILLION):.2f}",
            )
            rows.append(row)
    bench.show(Figures("queries", titles, rows, f"CPU on answers of {engine.name}"))
    bench.console.print(
        f"  {size.queried_operations} payments and transfers of one merchant, made in one hour of "
        "one day. Units are computed from\n  item sizes; calls in parallel wait together."
    )
