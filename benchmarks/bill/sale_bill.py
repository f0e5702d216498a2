"""What a million sales cost with everything that is derived from them, by service and function.

The real functions run on an AWS in memory that counts their calls. A quiet stage derives each sale
before the next one begins; a busy one gets full batches from its streams and queues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console

from benchmarks.bill.counted_stage import (
    ARCHIVE,
    DELIVER,
    PARTNER_SECONDS,
    PLAIN_SECONDS,
    PROCESS,
    PROJECT,
    TRANSACTION_SECONDS,
)
from benchmarks.bill.counted_stage import Use as Counted
from benchmarks.bill.counting import use_of
from benchmarks.bill.prices import by_place
from benchmarks.bill.shop import Shop
from benchmarks.figures import Figures
from benchmarks.requests.client_cpu import client_cpu_seconds
from benchmarks.setting import BenchmarkDependencies
from stacks.costs.bill import TRACED_SHARE, Charge, charges_of
from stacks.costs.prices import GIGABYTE, MILLION, PRICES
from stacks.costs.resources import FunctionResource
from stacks.costs.uses import Use

MEMORY_MEGABYTES: Final[Mapping[str, int]] = {
    PROCESS: 1_024,
    PROJECT: 1_024,
    DELIVER: 512,
    ARCHIVE: 1_769,
}
"""As the stacks have them; a test compares them."""
YEARS_KEPT: Final = 7
SERVICES: Final[Mapping[str, str]] = {
    "dynamodb-write": "DynamoDB writes",
    "dynamodb-read": "DynamoDB reads",
    "lambda-arm64": "Lambda time",
    "lambda-request": "Lambda requests",
    "gateway-request": "API Gateway",
    "sqs-request": "SQS",
    "s3-put": "S3 puts",
    "kms-request": "KMS",
    "logs-ingested": "Logs",
    "trace": "Traces",
}
"""Rows, by the price that applies (stacks/costs/prices.toml)."""
TITLES: Final[Mapping[str, str]] = {
    PROCESS: "request",
    PROJECT: "project",
    DELIVER: "webhooks",
    ARCHIVE: "archive",
}
Dollars = dict[str, float]
"""Per sale, by service."""
QUIET, BUSY = "quiet", "busy"
TRACED: Final[Mapping[str, float]] = {QUIET: 1.0, BUSY: TRACED_SHARE}
"""Share of invocations that X-Ray records: all of them up to one a second, which a quiet stage does
not reach, and a share of those above."""


@dataclass(frozen=True)
class Bill:
    """What the functions used for so many sales, on a stage that is quiet or busy."""

    name: str
    sales: int
    uses: Mapping[str, Counted]
    archived_bytes: int
    client_cpu: float
    """Seconds of CPU of one call to DynamoDB."""

    def use(self, function: str) -> Use:
        """What a function uses for one sale."""
        return use_of(self.uses[function], self.sales, self.client_cpu, function=function)

    def cpu(self, function: str) -> float:
        """Seconds of this machine's CPU of one sale, with the DynamoDB client's."""
        counted = self.uses[function]
        return (counted.cpu + counted.calls * self.client_cpu) / self.sales

    def seconds(self, function: str) -> float:
        """Billed Lambda seconds of one sale: waiting, and CPU at the function's share of a core."""
        return self.use(function).seconds(MEMORY_MEGABYTES[function])

    def dollars(self, function: str) -> Dollars:
        """What the function costs for one sale."""
        use, memory = self.use(function), MEMORY_MEGABYTES[function]
        resource = FunctionResource(memory_megabytes=memory, architecture="arm64")
        charges = [
            *charges_of("sale", use, resource),
            Charge("trace", "sale", use.invocations * TRACED[self.name]),
        ]
        amounts = {each.price: PRICES[each.price].of(each.quantity) for each in charges}
        by_row = {row: amounts.pop(price, 0.0) for price, row in SERVICES.items()}
        if amounts:
            raise RuntimeError(f"{function} of a sale uses what has no row: {sorted(amounts)}")
        return by_row

    @property
    def total(self) -> float:
        """Dollars of one sale."""
        return sum(sum(self.dollars(function).values()) for function in self.uses)

    @property
    def kept(self) -> float:
        """Dollars for storing one sale's archived audit rows until they may be deleted."""
        months = 12 * YEARS_KEPT
        stored = self.archived_bytes / self.sales / GIGABYTE
        return stored * months * PRICES["s3-storage"].each


def bill_of(shop: Shop, name: str, sales: int, client_cpu: float, *, at_once: bool) -> Bill:
    """What `sales` of a shop cost, derived at the end or one by one."""
    shop.each(shop.sell, sales, at_once=at_once)
    bill = Bill(name, sales, dict(shop.stage.uses), shop.stage.archived_bytes, client_cpu)
    shop.stage.forget_uses()
    return bill


def run(bench: BenchmarkDependencies) -> None:
    """Count, and print the bills."""
    size = bench.size
    with bench.progress.step("Count what a sale and its derived rows use"):
        shop = Shop()
        client_cpu = client_cpu_seconds(size.client_calls, lean=shop.stage.has_lean_client)
        bills = [
            bill_of(shop, QUIET, size.priced_sales, client_cpu, at_once=False),
            bill_of(shop, BUSY, size.priced_sales, client_cpu, at_once=True),
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
    for service in SERVICES.values():
        amounts = [each[service] * MILLION for each in by_function]
        cells = (f"{amount:.2f}" if amount else "" for amount in (*amounts, sum(amounts)))
        rows.append((service, *cells))
    sums = [sum(each.values()) * MILLION for each in by_function]
    rows.append(("together", *(f"{amount:.2f}" for amount in (*sums, sum(sums)))))
    return Figures(f"price-{bill.name}", titles, rows)


def _print_assumptions(console: Console, bills: list[Bill]) -> None:
    quiet, busy = bills
    low, high, kept = (each * MILLION for each in (busy.total, quiet.total, busy.kept))
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
