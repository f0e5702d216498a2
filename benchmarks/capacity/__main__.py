"""`make simulate`: what a rate of payments asks of each key, beside the limits of AWS.

Nothing is sent to AWS. Operations are recorded once on the platform's own functions; then many are
drawn, and their units are summed up by key.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console

from benchmarks.capacity import limits
from benchmarks.capacity.assessment import Assessment, Finding, Kind, assess, findings_of_keys
from benchmarks.capacity.claims import Claim, claims_of
from benchmarks.capacity.go_layout import go_footprint
from benchmarks.capacity.heat_map import Panel, draw_heat_map
from benchmarks.capacity.load import MIX, Load, Population, drawn, draws_of
from benchmarks.capacity.operations import Shop
from benchmarks.capacity.report import (
    print_assumptions,
    print_claims,
    print_first,
    print_keys,
    print_streams,
)
from benchmarks.setting import quiet
from local.progress import Progress
from runtime.merchants.models import MAX_INDEX_BUCKETS

DRAWN: Final = 200_000
"""Operations that are drawn, whatever the rate: of a bucket of 256, each with 7 % of error."""
GO_DRAWS: Final = 1
"""No key of the Go example's layout depends on chance."""


@dataclass(frozen=True)
class Simulation:
    """The result for both layouts, and for ours on a stage that is not set for the rate."""

    ours: Assessment
    as_prod: Assessment
    claims: list[Claim]
    go: Load
    go_keys: list[Finding]


def simulate(
    rate: float, population: Population, *, draws: int = DRAWN, dice: Random
) -> Simulation:
    """Record the operations, draw the load, and assess it. Raises KeyRuleDiffers."""
    footprints = Shop.opened(population.index_buckets).footprints()
    rates = {name: share * rate for name, share in MIX.items()}
    counts = draws_of(rates, draws)
    loads = {
        name: drawn(footprints[name], per_second, counts[name], population, dice)
        for name, per_second in rates.items()
    }

    def assessed(stage: limits.StageSettings) -> Assessment:
        total = Load()
        for load in loads.values():
            total.include(load)
        return assess(stage, total, footprints, rates, population, rate)

    made, as_prod = assessed(limits.FOR_20_000), assessed(limits.AS_PROD)
    go = drawn(go_footprint(), rate, GO_DRAWS, population, dice)
    hottest = sorted(findings_of_keys(go.total), key=lambda each: -each.utilisation)
    claims = claims_of(made, as_prod, loads, rates, footprints)
    return Simulation(made, as_prod, claims, go, hottest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--rate", type=float, default=20_000, help="payments per second (20000)")
    parser.add_argument("--merchants", type=int, default=1, help="who receive them evenly (1)")
    parser.add_argument(
        "--index-buckets",
        type=int,
        default=MAX_INDEX_BUCKETS,
        help=f"of each merchant ({MAX_INDEX_BUCKETS})",
    )
    parser.add_argument("--draws", type=int, default=DRAWN, help=f"operations drawn ({DRAWN})")
    parser.add_argument("--seed", default="1", help="of the draws (1)")
    parser.add_argument(
        "--picture", type=Path, default=Path(".local/capacity.png"), help="where the heat map goes"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write the picture. The exit code says nothing about the limits."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal:  # in a file rich assumes 80 columns, and would break every title
        console = Console(highlight=False, width=150)
    dice = Random(options.seed)
    population = Population.of(options.merchants, options.index_buckets, dice)
    with Progress().step("Record the operations and draw the load"), quiet():
        found = simulate(options.rate, population, draws=options.draws, dice=dice)
    made = found.ours
    print_keys(console, "The hottest key of each table and index", made.findings, made.rate)
    print_streams(console, made)
    print_first(console, "What breaks first", made, *Kind)
    print_first(
        console,
        "What breaks first on a stage as prod is in cdk.json",
        found.as_prod,
        *(kind for kind in Kind if kind is not Kind.QUOTA),
    )
    print_claims(console, found.claims)
    print_keys(console, "The Go example's layout", found.go_keys, made.rate)
    print_assumptions(console)
    title = f"{made.rate:,.0f} payments/s, {options.merchants} merchant(s): "
    panels = [
        Panel(f"{title}this platform", made.load.total),
        Panel(f"{title}the Go example's layout", found.go.total),
    ]
    draw_heat_map(panels, options.picture)
    console.print(f"Picture: {options.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
