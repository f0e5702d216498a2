"""Every benchmark, by its name in `make bench`. A test runs each of them with few operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.batches import export, payout, reconcile, resolver
from benchmarks.bill import sale_bill, verification_bill
from benchmarks.requests import (
    card_scan,
    client,
    cold_start,
    encryption,
    queries,
    request_cpu,
)
from benchmarks.rivals import rates, sale, transfer
from benchmarks.setting import Benchmark

IN_THE_GUIDES: Final = ("cpu", "client", "queries", "price", "cold", "rivals")
"""Their tables are kept in docs/, between marks (`benchmarks/figures.py`)."""
BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    "transfer": transfer.run,
    "rivals": rates.run,
    "cpu": request_cpu.run,
    "client": client.run,
    "queries": queries.run,
    "sale": sale.run,
    "price": sale_bill.run,
    "verification": verification_bill.run,
    "payout": payout.run,
    "resolver": resolver.run,
    "reconcile": reconcile.run,
    "export": export.run,
    "encryption": encryption.run,
    "cold": cold_start.run,
    "card-scan": card_scan.run,
}
