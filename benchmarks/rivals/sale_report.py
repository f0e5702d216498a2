"""Prints the measurements of a sale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from benchmarks.bill.prices import Price, by_place
from benchmarks.rivals.charge_workload import SalePrice, Variant
from benchmarks.rivals.sale_baselines import AUDIT, Sell
from runtime.ledger.hot_accounts.repository import MAX_SHARD_CREDITS
from stacks.costs.prices import MILLION, PRICES

MOST_TRIPS, MOST_UNITS, MOST_UNITS_OF_CUSTOMER = 2, 26, 30


@dataclass
class Way:
    """One implementation of a sale, and its measurements. `charges`: see `print_deaths`."""

    name: str
    client: Any
    sell: Sell
    sale: Price = field(default_factory=Price)
    to_customer: Price = field(default_factory=Price)
    repetition: Price = field(default_factory=Price)
    charges: int = 0
    per_second: dict[int, float] = field(default_factory=dict)


def print_variants(
    console: Console, engine: str, priced: Iterable[tuple[Variant, SalePrice]]
) -> None:
    """Each kind of request beside its limits."""
    titles = ("round trips", "target", "write units", "target", "read units", "derived later")
    columns = [Column(title, justify="right") for title in (*titles, "sandbox's own")]
    table = Table(f"ours, on {engine}", *columns, box=SIMPLE)
    for variant, price in priced:
        ours, sandbox = price.ours, price.sandbox
        table.add_row(
            variant.name,
            str(ours.trips),
            _target(ours.trips, variant.most_trips),
            str(ours.requested),
            _target(ours.requested, variant.most_units),
            f"{ours.read_units:g}",
            str(ours.derived.total()),
            f"{sandbox.trips} trip, {sandbox.requested} units",
        )
    console.print(table)
    console.print(
        "  Units of the request's path, the ledger's booking included. Derived later: its folding"
        " alone;\n"
        f"  up to {MAX_SHARD_CREDITS} postings share one write of a balance shard. A processor"
        " has no rows in our tables;\n  those of the sandbox are shown separately."
    )


def _target(found: int, most: int | None) -> str:
    if most is None:
        return ""
    return f"≤ {most}" if found <= most else f"≤ {most} MISSED"


def print_writes(console: Console, title: str, price: Price) -> None:
    """Each item that a request writes, with its bytes: above 1024 it would cost twice."""
    right = [Column(name, justify="right") for name in ("bytes", "table's units")]
    table = Table(title, "row", *right, "index entries written", box=SIMPLE)
    for write in price.writes:
        entries = [
            index if units == 1 else f"{index} ({units})"
            for index, units in write.units.indexes.items()
        ]
        table.add_row(
            f"trip {write.round_trip}",
            write.table.rpartition("-")[2],
            f"{write.bytes_before} → {write.bytes_after}",
            str(write.units.table),
            ", ".join(entries),
        )
    console.print(table)


def print_comparison(console: Console, ways: Sequence[Way]) -> None:
    """The implementations side by side; a ratio above 1 is in favour of ours."""
    numbers = [Column(way.name, justify="right") for way in ways]
    ratios = [Column(f"{ways[0].name} : {way.name}", justify="right") for way in ways[1:]]
    table = Table("a sale", *numbers, *ratios, "target", box=SIMPLE)

    def row(title: str, values: Sequence[float], target: str = "", *, more: bool = False) -> None:
        ours, *others = values
        reported = [f"{ours / other if more else other / ours:.1f}" for other in others]
        table.add_row(title, *(f"{value:.1f}" for value in values), *reported, target)

    def part(title: str, values: Sequence[float]) -> None:
        table.add_row(title, *(f"{value:.1f}" for value in values))

    sales = [way.sale for way in ways]
    row("round trips", [each.trips for each in sales], f"≤ {MOST_TRIPS}")
    row("write units", [each.requested for each in sales], f"≤ {MOST_UNITS}")
    part("  audit rows among them", [_units_of(each, AUDIT) for each in sales])
    part("  of rows derived later", [each.derived.total() for each in sales])
    row("  together", [each.together for each in sales])
    part("read units", [each.read_units for each in sales])
    row("$ per million, request's path", [_dollars(each) for each in sales])
    units = [way.to_customer.requested for way in ways]
    row("write units, to a customer", units, f"≤ {MOST_UNITS_OF_CUSTOMER}")
    part("repeated: round trips", [way.repetition.trips for way in ways])
    part("repeated: write units", [way.repetition.requested for way in ways])
    part("repeated: read units", [way.repetition.read_units for way in ways])
    for clients in ways[0].per_second:
        rates = [way.per_second[clients] for way in ways]
        row(f"sales/s, {clients} client(s)", rates, more=True)
    console.print(table)
    for way in ways:
        console.print(f"  write units of {way.name}: {by_place(way.sale.units)}")
    console.print(f"  write units of ours, derived: {by_place(ways[0].sale.derived)}")
    console.print(
        "  The Go example books nothing, and its audit rows are on the request's path. A repetition"
        " of ours is a\n  canceled transaction, for which AWS reports no units; Powertools' refused"
        " put returns the row, so no get follows."
    )


def _units_of(price: Price, table: str) -> int:
    return sum(units for place, units in price.units.items() if place[0] == table)


def _dollars(price: Price) -> float:
    writes = PRICES["dynamodb-write"].of(MILLION * price.requested)
    return writes + PRICES["dynamodb-read"].of(MILLION * price.read_units)


def print_deaths(console: Console, ways: Sequence[Way]) -> None:
    """What a customer paid if the process died after the charge and the request was repeated."""
    ours, go, powertools = (f"{way.charges} charge(s)" for way in ways)
    console.print(
        "  A process dies after the processor's answer, and the same request comes again:\n"
        f"  ours: {ours}, finished by the resolver, and the answer that was owed.\n"
        f"  Go example: {go}; its payment stays pending, “still being processed” for a day.\n"
        "  Powertools: in progress, so refused, until the dead function's own deadline; then it"
        f" sells anew: {powertools}."
    )
