"""What a million sales cost with everything that is derived from them, by service and function.

The real functions run on an AWS in memory that counts their calls. A quiet stage derives each sale
before the next one begins; a busy one gets full batches from its streams and queues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console

from benchmarks.bill import list_prices as prices
from benchmarks.bill.counted_stage import (
    ARCHIVE,
    DELIVER,
    PARTNER_SECONDS,
    PLAIN_SECONDS,
    PROCESS,
    PROJECT,
    TRANSACTION_SECONDS,
    CountedStage,
    Use,
)
from benchmarks.bill.prices import by_place
from benchmarks.figures import Figures
from benchmarks.requests.client_cpu import client_cpu_seconds
from benchmarks.requests.request_cpu import SALE
from benchmarks.setting import BenchmarkDependencies
from simulation.partners.receivers import Endpoints
from simulation.platform.http import EVERYTHING, OPERATOR, HttpRequest, token

MEMORY_MEGABYTES: Final[Mapping[str, int]] = {
    PROCESS: 1_024,
    PROJECT: 1_024,
    DELIVER: 512,
    ARCHIVE: 1_769,
}
"""As the stacks have them; a test compares them."""
PARTNER_CPU_SECONDS: Final = 0.001
"""Assumed CPU of a call to SQS, S3 or KMS with botocore."""
PLATFORM_LOG_BYTES: Final = 500
"""Lambda's own lines of an invocation (platform.start, platform.report)."""
ACCESS_LOG_BYTES: Final = 450
"""API Gateway's line of a request."""
WARMING_SALES: Final = 3
YEARS_KEPT: Final = 7
USER_AGENT: Final = "shop-backend/4.2.1 (python-requests/2.32.3; Linux x86_64)"
SERVICES: Final = (
    "DynamoDB writes",
    "DynamoDB reads",
    "Lambda time",
    "Lambda requests",
    "API Gateway",
    "SQS",
    "S3 puts",
    "KMS",
    "Logs",
    "Traces",
)
TITLES: Final[Mapping[str, str]] = {
    PROCESS: "request",
    PROJECT: "project",
    DELIVER: "webhooks",
    ARCHIVE: "archive",
}
Dollars = dict[str, float]
"""Per sale, by service."""


@dataclass(frozen=True)
class Bill:
    """What the functions used for so many sales."""

    name: str
    sales: int
    uses: Mapping[str, Use]
    archived_bytes: int
    client_cpu: float
    """Seconds of CPU of one call to DynamoDB."""

    def cpu(self, function: str) -> float:
        """Seconds of this machine's CPU of one sale, with the DynamoDB client's."""
        use = self.uses[function]
        return (use.cpu + use.calls * self.client_cpu) / self.sales

    def seconds(self, function: str) -> float:
        """Billed Lambda seconds of one sale: waiting, and CPU at the function's share of a core."""
        use = self.uses[function]
        partners = sum(use.partners.values())
        cpu = use.cpu + use.calls * self.client_cpu + partners * PARTNER_CPU_SECONDS
        slower = max(prices.VCPU_MEGABYTES / MEMORY_MEGABYTES[function], 1.0)
        return (use.waited + cpu * slower) / self.sales

    def dollars(self, function: str) -> Dollars:
        """What the function costs for one sale."""
        use = self.uses[function]
        invocations = use.invocations / self.sales
        gigabytes = MEMORY_MEGABYTES[function] / 1_024
        log_bytes = use.log_bytes / self.sales + invocations * PLATFORM_LOG_BYTES
        of_gateway = function == PROCESS
        if of_gateway:
            log_bytes += ACCESS_LOG_BYTES
        amounts = (
            use.write_units / self.sales * prices.WRITE_UNIT,
            use.read_units / self.sales * prices.READ_UNIT,
            self.seconds(function) * gigabytes * prices.LAMBDA_GB_SECOND,
            invocations * prices.LAMBDA_REQUEST,
            of_gateway * prices.GATEWAY_REQUEST,
            use.partners["sqs"] / self.sales * prices.SQS_REQUEST,
            use.partners["s3"] / self.sales * prices.S3_PUT,
            use.partners["kms"] / self.sales * prices.KMS_REQUEST,
            log_bytes / prices.GIGABYTE * prices.LOG_GIGABYTE,
            invocations * prices.TRACED_SHARE * prices.TRACE,
        )
        return dict(zip(SERVICES, amounts, strict=True))

    @property
    def total(self) -> float:
        """Dollars of one sale."""
        return sum(sum(self.dollars(function).values()) for function in self.uses)

    @property
    def kept(self) -> float:
        """Dollars for storing one sale's archived audit rows until they may be deleted."""
        months = 12 * YEARS_KEPT
        stored = self.archived_bytes / self.sales / prices.GIGABYTE
        return stored * months * prices.S3_GIGABYTE_MONTH


class Shop:
    """A merchant with a webhook endpoint, on a stage of its own."""

    def __init__(self) -> None:
        self.stage = CountedStage()
        self._requests = 0
        merchant = self._post(
            "/v1/merchants",
            {
                "name": "Bench Shop",
                "email": "bench@shops.example",
                "webhook_url": Endpoints.url_of("bench"),
            },
            OPERATOR,
        )
        self._caller = token(merchant["id"], *EVERYTHING, subject="shop-backend@7d1f0c2a")
        for _ in range(WARMING_SALES):
            self.sell()
        self.stage.drain()
        self.stage.forget_uses()

    def sell(self) -> None:
        """One sale."""
        self._post("/v1/payments", SALE, self._caller)

    def bill(self, name: str, sales: int, client_cpu: float, *, at_once: bool) -> Bill:
        """What `sales` cost, derived at the end or one by one."""
        for _ in range(sales):
            self.sell()
            if not at_once:
                self.stage.drain()
        self.stage.drain()
        bill = Bill(name, sales, dict(self.stage.uses), self.stage.archived_bytes, client_cpu)
        self.stage.forget_uses()
        return bill

    def _post(self, path: str, body: Mapping[str, Any], caller: Any) -> Any:
        self._requests += 1
        headers = {"idempotency-key": f"{self._requests:036d}", "user-agent": USER_AGENT}
        request = HttpRequest("bench", "POST", path, dict(body), headers=headers, credential=caller)
        response = self.stage.api(request)
        if response.status != 201:
            raise RuntimeError(f"{path} was answered {response.status}: {response.text}")
        return response.body


def run(bench: BenchmarkDependencies) -> None:
    """Count, and print the bills."""
    size = bench.size
    with bench.progress.step("Count what a sale and its derived rows use"):
        shop = Shop()
        client_cpu = client_cpu_seconds(size.client_calls, lean=shop.stage.has_lean_client)
        bills = [
            shop.bill("quiet", size.priced_sales, client_cpu, at_once=False),
            shop.bill("busy", size.priced_sales, client_cpu, at_once=True),
        ]
    for bill in bills:
        bench.show(_uses(bill))
        _print_projected(bench.console, bill)
        bench.show(_dollars(bill))
    _print_assumptions(bench.console, bills)


def _uses(bill: Bill) -> Figures:
    titles = ("invocations", "calls", "write units", "read units", "CPU ms", "billed ms", "log B")
    rows = []
    for function, use in bill.uses.items():
        cpu = bill.cpu(function) * 1_000
        counts = (use.invocations, use.calls, use.write_units, use.read_units)
        row = (
            TITLES[function],
            *(f"{count / bill.sales:.1f}" for count in counts),
            f"{cpu:.1f}",
            f"{bill.seconds(function) * 1_000:.0f}",
            f"{use.log_bytes / bill.sales:.0f}",
        )
        rows.append(row)
    return Figures(f"uses-{bill.name}", (f"a sale, {bill.name} stage", *titles), rows)


def _print_projected(console: Console, bill: Bill) -> None:
    derived, cpu = bill.uses[PROJECT], bill.cpu(PROJECT)
    records = derived.records / bill.sales
    console.print(
        f"  derived, per sale: {derived.calls / bill.sales:.1f} calls, "
        f"{derived.write_units / bill.sales:.1f} write units, {cpu * 1_000:.1f} ms of CPU "
        f"for {records:.1f} stream records: {records / cpu:,.0f} records/s of one core"
    )
    units = derived.written
    per_table: dict[str, float] = {}
    for (name, _), count in units.items():
        per_table[name] = per_table.get(name, 0.0) + count / bill.sales
    shown = ", ".join(f"{name} {count:.1f}" for name, count in per_table.items())
    console.print(f"  write units of the projections: {shown}")


def _dollars(bill: Bill) -> Figures:
    titles = (f"$ per million sales, {bill.name} stage", *TITLES.values(), "together")
    rows = []
    by_function = [bill.dollars(function) for function in TITLES]
    for service in SERVICES:
        amounts = [each[service] * prices.MILLION for each in by_function]
        cells = (f"{amount:.2f}" if amount else "" for amount in (*amounts, sum(amounts)))
        rows.append((service, *cells))
    sums = [sum(each.values()) * prices.MILLION for each in by_function]
    rows.append(("together", *(f"{amount:.2f}" for amount in (*sums, sum(sums)))))
    return Figures(f"price-{bill.name}", titles, rows)


def _print_assumptions(console: Console, bills: list[Bill]) -> None:
    quiet, busy = bills
    low, high, kept = (each * prices.MILLION for each in (busy.total, quiet.total, busy.kept))
    console.print(
        "  A million sales of one merchant, with all that is derived from them: "
        f"${low:.0f} on a busy stage, ${high:.0f} on a quiet one.\n"
        f"  The archive's storage for {YEARS_KEPT} years (S3 Standard): ${kept:.0f}. Not included:"
        " storage of tables and logs,\n"
        "  network, cold starts, and what runs without sales.\n"
        f"  Assumed times of calls: {PLAIN_SECONDS * 1000:.0f} ms, a transaction "
        f"{TRANSACTION_SECONDS * 1000:.0f} ms, an endpoint "
        f"{PARTNER_SECONDS['endpoint'] * 1000:.0f} ms. CPU is this machine's, with "
        f"{busy.client_cpu * 1_000_000:.0f} µs for the client of each call to DynamoDB."
    )
    console.print(f"  write units of the request: {by_place(_per_sale(busy, PROCESS))}")
    console.print(f"  write units of a webhook: {by_place(_per_sale(busy, DELIVER))}")


def _per_sale(bill: Bill, function: str) -> Any:
    written = bill.uses[function].written
    return type(written)({place: count // bill.sales for place, count in written.items()})
