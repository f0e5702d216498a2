"""What full and incremental ledger verifications cost, by the number of transfers.

The real functions run on an AWS in memory that counts their calls. Runs over two numbers of sales
give what a run costs in itself and what each sale adds; the rest is multiplication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from benchmarks.bill.counted_stage import PROOF, Use
from benchmarks.bill.counting import PARTNER_CPU_SECONDS
from benchmarks.bill.shop import WARMING_SALES, Shop
from benchmarks.requests.client_cpu import client_cpu_seconds
from benchmarks.setting import BenchmarkDependencies
from runtime.verification.rules import RunKind
from stacks.costs.prices import MILLION, PRICES

MEMORY_MEGABYTES: Final = 1_769
"""As the stack has it (WHOLE_CPU_MB)."""
HISTORIES: Final = (10**6, 10**8, 10**10)
DAYS: Final = 365
RUNS_PER_MONTH: Final = 30
MORE: Final = 4
"""How many times as many sales the second run has."""
INVOCATION_SECONDS: Final = 900


@dataclass(frozen=True)
class Amounts:
    """What a run used, or its part in it of one sale."""

    read_units: float
    write_units: float
    objects: float
    cpu_seconds: float
    waited_seconds: float

    @classmethod
    def of(cls, use: Use, client_cpu: float) -> Amounts:
        """The amounts of all invocations of a run."""
        objects = use.calls_of("s3")
        cpu = use.cpu + use.calls * client_cpu + objects * PARTNER_CPU_SECONDS
        return cls(use.read_units, use.write_units, objects, cpu, use.waited)

    def plus(self, other: Amounts, times: float) -> Amounts:
        """These and `times` the others."""
        mine, theirs = vars(self), vars(other)
        return Amounts(**{name: mine[name] + times * theirs[name] for name in mine})

    @property
    def seconds(self) -> float:
        """Time of a function with one CPU; calls of its threads overlap."""
        return max(self.cpu_seconds, self.waited_seconds)

    @property
    def dollars(self) -> float:
        """What it costs, Lambda included."""
        gigabytes = MEMORY_MEGABYTES / 1_024
        return (
            self.read_units * PRICES["dynamodb-read"].each
            + self.write_units * PRICES["dynamodb-write"].each
            + self.objects * PRICES["s3-get"].each
            + self.seconds * gigabytes * PRICES["lambda-arm64"].each
        )


@dataclass(frozen=True)
class RunCost:
    """What a run costs in itself, and what each sale adds."""

    fixed: Amounts
    per_sale: Amounts

    def of(self, sales: float) -> Amounts:
        """A run over so many sales."""
        return self.fixed.plus(self.per_sale, sales)


def run(bench: BenchmarkDependencies) -> None:
    """Count both kinds of runs, and print what they cost."""
    with bench.progress.step("Verify ledgers of two sizes"):
        lean = Shop().stage.has_lean_client
        client_cpu = client_cpu_seconds(bench.size.client_calls, lean=lean)
        costs = counted_verifications(bench.size.priced_sales, client_cpu)
    _print_shares(bench.console, costs)
    _print_histories(bench.console, costs)


def counted_verifications(few: int, client_cpu: float) -> dict[RunKind, RunCost]:
    """What each kind of run costs, from ledgers of `few` sales and of several times as many."""
    shop = Shop()
    full = {WARMING_SALES: Amounts.of(_verify(shop, RunKind.FULL), client_cpu)}
    incremental = {}
    for sales in (few, MORE * few):
        shop.each(shop.sell, sales, at_once=True)
        use = _verify(shop, RunKind.INCREMENTAL, of=sales)
        incremental[sales] = Amounts.of(use, client_cpu)
    everything = WARMING_SALES + few + MORE * few
    full[everything] = Amounts.of(_verify(shop, RunKind.FULL), client_cpu)
    return {RunKind.FULL: _cost_of(full), RunKind.INCREMENTAL: _cost_of(incremental)}


def _verify(shop: Shop, kind: RunKind, *, of: int | None = None) -> Use:
    """A run, a day later. Raises RuntimeError for a violation, or if it is not of `of` payments."""
    stage = shop.stage
    stage.clock.now += timedelta(days=1).total_seconds()
    stage.forget_uses()
    answer: dict[str, Any] = {"completed": False}
    while not answer["completed"]:
        answer = stage.invoke(PROOF, {"kind": kind.value})
    if not answer["holds"] or answer["kind"] != kind:
        raise RuntimeError(f"the ledger was not verified: {answer}")
    payments = next(each for each in answer["checks"] if each["name"] == "payment_totals")
    if of is not None and payments["counted"] != of:
        raise RuntimeError(f"{payments['counted']} payments were verified, not {of}")
    use = stage.uses[PROOF]
    stage.forget_uses()
    return use


def _cost_of(runs: Mapping[int, Amounts]) -> RunCost:
    (few, less), (many, more) = sorted(runs.items())
    per_sale = _share(more.plus(less, -1.0), many - few)
    return RunCost(less.plus(per_sale, -few), per_sale)


def _share(amounts: Amounts, of: int) -> Amounts:
    """The part of one sale; at least zero, because a full run reads no objects."""
    return Amounts(**{name: max(amount / of, 0.0) for name, amount in vars(amounts).items()})


def _print_shares(console: Console, costs: Mapping[RunKind, RunCost]) -> None:
    titles = ("read units", "write units", "objects", "CPU ms", "$ per million")
    columns = [Column(title, justify="right") for title in titles]
    table = Table("a ledger verification of", *columns, box=SIMPLE)
    for kind, cost in costs.items():
        for name, amounts in (("nothing", cost.fixed), ("a sale", cost.per_sale)):
            table.add_row(
                f"{name}, {kind}",
                f"{amounts.read_units:,.2f}",
                f"{amounts.write_units:,.2f}",
                f"{amounts.objects:,.3f}",
                f"{amounts.cpu_seconds * 1_000:,.2f}",
                "" if name == "nothing" else f"{amounts.dollars * MILLION:.2f}",
            )
    console.print(table)


def _print_histories(console: Console, costs: Mapping[RunKind, RunCost]) -> None:
    titles = (
        "a full run, $",
        "hours",
        "an incremental run, $",
        "hours",
        "before, $ a month",
        "now, $ a month",
    )
    columns = [Column(title, justify="right") for title in titles]
    table = Table("transfers in a year", *columns, box=SIMPLE)
    for transfers in HISTORIES:
        full = costs[RunKind.FULL].of(transfers)
        incremental = costs[RunKind.INCREMENTAL].of(transfers / DAYS)
        now = full.dollars + (RUNS_PER_MONTH - 1) * incremental.dollars
        table.add_row(
            f"{transfers:,}",
            f"{full.dollars:,.2f}",
            f"{full.seconds / 3_600:,.2f}",
            f"{incremental.dollars:,.2f}",
            f"{incremental.seconds / 3_600:,.2f}",
            f"{RUNS_PER_MONTH * full.dollars:,.2f}",
            f"{now:,.2f}",
        )
    console.print(table)
    console.print(
        "  Each transfer is a sale: payment, transaction, transfer and three entries. A full run\n"
        "  reads the year, an incremental one a day of it. Calculated from counted units and this\n"
        f"  machine's CPU; an invocation ends after {INVOCATION_SECONDS} s, and the next continues."
    )
