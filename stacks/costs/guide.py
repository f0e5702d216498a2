"""The tables of docs/costs.md that `make cost` calculates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stacks.costs.bill import bill_of
from stacks.costs.prices import PRICES
from stacks.costs.report import (
    TOGETHER,
    example_table,
    growth_table,
    idle_bill,
    part_table,
    price_table,
    sensitivity_table,
    service_table,
)
from stacks.costs.resources import StageResources
from stacks.costs.tables import TextTable, dollars, replaced
from stacks.costs.uses import counted_uses
from stacks.costs.workload import Workload
from stacks.stage import PROD

STAGES: Final = ("dev", "staging", PROD)
GUIDE: Final = "costs.md"
MONTHS: Final = (10_000, 1_000_000, 100_000_000)
"""Payments a month of the columns."""
SHOWN: Final = 1_000_000
"""Payments a month of the other tables."""


def tables(stages: Mapping[str, StageResources]) -> list[TextTable]:
    """All of them, from the resources of STAGES by name."""
    uses, prices, prod = counted_uses(), PRICES, stages[PROD]
    merchants = Workload(payments=0.0).merchants
    bills = {
        f"{payments:,}": bill_of(Workload(payments=payments), prod, uses, prices)
        for payments in MONTHS
    }
    shown = bills[f"{SHOWN:,}"]
    return [
        service_table("months", bills, idle_bill(prod, uses, prices, merchants)),
        part_table("parts", shown),
        _idle_table(stages),
        sensitivity_table("sensitivity", shown, prod, uses, prices),
        example_table("example", shown.workload, prod, uses, prices),
        growth_table("growth", shown.workload, prod, uses, prices),
        price_table("prices", prices),
    ]


def _idle_table(stages: Mapping[str, StageResources]) -> TextTable:
    """What each stage costs without payments, by service."""
    merchants = Workload(payments=0.0).merchants
    bills = {
        name: idle_bill(resources, counted_uses(), PRICES, merchants)
        for name, resources in stages.items()
    }
    services = list(bills[PROD].by_service())
    rows = [
        [service, *(dollars(bill.by_service().get(service, 0.0)) for bill in bills.values())]
        for service in services
    ]
    rows.append([TOGETHER, *(dollars(bill.dollars) for bill in bills.values())])
    return TextTable("idle", ["$ a month without payments", *bills], rows)


def updated(guide: str, stages: Mapping[str, StageResources]) -> str:
    """The guide with all its tables. Raises ValueError for a block that it lacks."""
    for table in tables(stages):
        guide = replaced(guide, table)
    return guide


def update(folder: Path, stages: Mapping[str, StageResources]) -> None:
    """Replace the tables in the guide of a folder."""
    file = folder / GUIDE
    file.write_text(updated(file.read_text("utf-8"), stages), "utf-8")
