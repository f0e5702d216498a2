"""Settlement files of a thousand to a hundred thousand lines, and a projection for a million.

Lines of one merchant that all match are planned, processed by two workers in separate processes,
and closed. Calls and units are counted; the time of AWS is computed from them.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from benchmarks.batches.lean import make_tables
from benchmarks.batches.reconcile_worker import MemoryQueue, Order, Report, dependencies_on
from benchmarks.bill.prices import Price, by_place, price_of
from benchmarks.setting import BenchmarkDependencies, quiet
from local.errors import LocalError
from runtime.dynamodb.index_shards import LEAST_UNSETTLED_BUCKETS
from runtime.merchants.models import MerchantProfile
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.files.chunks_repository import SettlementChunkRepository
from runtime.reconciliation.files.models import CHUNK_LINES, SettlementFile
from runtime.reconciliation.files.queue import ChunkMessage, CloseMessage
from runtime.reconciliation.importers.canonical import HEADER
from runtime.reconciliation.messages import handle_message
from runtime.reconciliation.settlements.models import Settlement
from stacks.costs.prices import MILLION, PRICES
from stacks.stage_workload import Concurrency
from tests.support.platform import Platform
from tests.support.reconciliation.fakes import object_created

SIZES_VARIABLE: Final = "BENCH_LINES"
"""Other sizes, such as 1000,30000: the engine of this machine takes some minutes for the last."""
WORKERS: Final = 2
"""As many as this machine has processors."""
READ_SECONDS: Final = 0.033
COMMIT_SECONDS: Final = 0.069
"""p95 of a read and a write of FRAGMENT, a ledger on DynamoDB that publishes its figures: a commit
of a hundred items takes longer than theirs, its median much less."""
SLOWER_PROCESSOR: Final = 1.5
"""A Lambda's processor beside one of this machine."""
PARTITION_WRITE_UNITS: Final = 1_000
_BATCH: Final = 25


@dataclass(frozen=True)
class Measured:
    """One file. `chunk`: what its first chunk costs, with `chunk_lines` lines."""

    lines: int
    planning: Report
    works: tuple[Report, ...]
    seconds: float
    closing: Report
    chunk: Price
    chunk_lines: int

    @property
    def worked(self) -> int:
        """Lines that the workers processed."""
        return self.lines - self.chunk_lines

    def per_thousand(self, amount: float) -> float:
        """Of the metered chunk."""
        return 1_000 * amount / self.chunk_lines


def run(bench: BenchmarkDependencies) -> None:
    """Measure all sizes and print them, and the projection.

    Raises:
        LocalError: a line was not matched.
    """
    progress, chosen = bench.progress, os.environ.get(SIZES_VARIABLE)
    sizes = tuple(map(int, chosen.split(","))) if chosen else bench.size.reconcile_lines
    measured = []
    for lines in sizes:
        with (
            quiet(),
            bench.table_engine(progress) as engine,
            tempfile.TemporaryDirectory() as scratch,
        ):
            platform = Platform(engine)
            merchant = platform.merchant()
            path = Path(scratch) / "file.csv"
            with progress.step(f"Put {lines:,} transactions on {engine.name}"):
                _write_file(platform, merchant, lines, path)
            with progress.step(f"Reconcile {lines:,} lines"):
                measured.append(_measured(platform, merchant, lines, path))
    _print(bench.console, measured)
    if measured[-1].works:
        _project(bench.console, measured[-1])
    else:
        bench.console.print(f"No projection: it needs a file of more than {CHUNK_LINES:,} lines.")


# ---------------------------------------------------------------- measuring


def _write_file(platform: Platform, merchant: MerchantProfile, lines: int, path: Path) -> None:
    """Transactions like one that was paid, and the file that settles them."""
    platform.pay(merchant, amount=1_000)
    (template,) = platform.rows(Transaction)
    item = platform.store.codec.to_item(template)
    with path.open("w") as file:
        file.write(",".join(HEADER) + "\n")
        for number in range(lines):
            payment, transaction = f"pay_{number:026d}", f"txn_{number:026d}"
            file.write(
                f"{payment},{transaction},settled,{template.amount},{template.fee},"
                f"{template.amount - template.fee},USD,2026-03-14,2026-03-15\n"
            )
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        list(pool.map(lambda part: _put(platform, part), _batches(item, lines)))


def _batches(item: dict[str, Any], lines: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, lines, _BATCH):
        yield [
            {
                **item,
                "id": {"S": f"txn_{number:026d}"},
                "payment_id": {"S": f"pay_{number:026d}"},
                "processor_id": {"S": f"ch_{number:026d}"},
            }
            for number in range(start, min(start + _BATCH, lines))
        ]


def _put(platform: Platform, items: list[dict[str, Any]]) -> None:
    table = platform.tables["transactions"]
    requests: Any = [{"PutRequest": {"Item": item}} for item in items]
    while requests:
        answer = platform.client.batch_write_item(RequestItems={table: requests})
        requests = answer["UnprocessedItems"].get(table)


def _measured(platform: Platform, merchant: MerchantProfile, lines: int, path: Path) -> Measured:
    """Plan in one process, meter the first chunk in this one, work in two, and close."""
    make_tables(platform)
    arrived = object_created(f"reconciliation/{merchant.id}/2026-03-15.csv", None)
    planning = _worker(platform, path, [arrived])
    first, *others = planning.sent
    chunk = _metered(platform, path, first)
    shares = [others[number::WORKERS] for number in range(WORKERS)]
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        works = tuple(pool.map(lambda share: _worker(platform, path, share), filter(None, shares)))
    seconds = time.monotonic() - began
    (file,) = platform.rows(SettlementFile)
    closing = _worker(platform, path, [CloseMessage(file_id=file.id).model_dump_json()])
    _check(platform, lines)
    return Measured(lines, planning, works, seconds, closing, chunk, min(lines, CHUNK_LINES))


def _metered(platform: Platform, path: Path, message: str) -> Price:
    """The first chunk, without the closing of a file that has no other."""
    file_id = ChunkMessage.model_validate_json(message).file_id
    watching = SettlementChunkRepository(platform.store)

    def is_done() -> bool:
        chunk = watching.chunk(file_id, 0)
        return chunk is not None and chunk.done

    store = platform.store_on(platform.engine.dynamodb())
    dependencies = replace(dependencies_on(store, path, MemoryQueue()), must_stop=is_done)
    return price_of(
        lambda: handle_message(message, "bench", dependencies), store.client, platform.client
    )


def _worker(platform: Platform, path: Path, messages: list[str]) -> Report:
    order = Order(
        endpoint_url=platform.engine.endpoint_url or "",
        tables=platform.tables,
        path=str(path),
        messages=tuple(messages),
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batches.reconcile_worker"],
        input=order.model_dump_json(),
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise LocalError(
            f"A worker failed: {done.stderr.strip()[-2_000:]}", hint="Run the measurement again."
        )
    return Report.model_validate_json(done.stdout)


def _check(platform: Platform, lines: int) -> None:
    (settlement,) = platform.rows(Settlement)
    if settlement.counts != {"matched": lines} or settlement.status != "completed":
        raise LocalError(
            f"Not every line was matched: {settlement.counts}, {settlement.status}",
            hint="The measurement assumes that all lines match.",
        )


# ---------------------------------------------------------------- printing


def _print(console: Console, measured: list[Measured]) -> None:
    columns = (Column(f"{each.lines:,} lines", justify="right") for each in measured)
    table = Table("", *columns, box=SIMPLE)
    rows: dict[str, Callable[[Measured], str]] = {
        f"lines/s, {WORKERS} workers on this machine": lambda m: f"{_rate(m):,.0f}",
        "processor time of a worker, ms a line": lambda m: f"{1_000 * _cpu_of_line(m):.2f}",
        "planning, s of the processor": lambda m: f"{m.planning.cpu_seconds:.2f}",
        "closing, s": lambda m: f"{m.closing.seconds:.2f}",
        "peak memory of the planner, MB": lambda m: f"{m.planning.peak_mb:.0f}",
        "peak memory of a worker, MB": lambda m: f"{_peak(m):.0f}",
        "calls per 1,000 lines": lambda m: f"{m.per_thousand(m.chunk.trips):.0f}",
        "write units per 1,000 lines": lambda m: f"{m.per_thousand(m.chunk.requested):,.0f}",
        "read units per 1,000 lines": lambda m: f"{m.per_thousand(m.chunk.read_units):,.0f}",
        "dollars per million lines": lambda m: f"{_dollars(m):.2f}",
    }
    for name, shown in rows.items():
        table.add_row(name, *(shown(each).replace("nan", "-") for each in measured))
    console.print(table)
    console.print(f"Write units of a chunk: {by_place(measured[-1].chunk.units)}")


def _rate(measured: Measured) -> float:
    return measured.worked / measured.seconds if measured.works else math.nan


def _cpu_of_line(measured: Measured) -> float:
    if not measured.works:
        return math.nan
    return sum(work.cpu_seconds for work in measured.works) / measured.worked


def _peak(measured: Measured) -> float:
    return max((work.peak_mb for work in measured.works), default=math.nan)


def _dollars(measured: Measured) -> float:
    per_million = MILLION / measured.chunk_lines
    writes = PRICES["dynamodb-write"].of(measured.chunk.requested * per_million)
    return writes + PRICES["dynamodb-read"].of(measured.chunk.read_units * per_million)


def _project(console: Console, measured: Measured) -> None:
    """A million lines in AWS, computed from the measured calls, units and processor time."""
    workers = Concurrency().reconcile
    commits = len({write.round_trip for write in measured.chunk.writes})
    reads = measured.chunk.trips - commits
    waits = reads * READ_SECONDS + commits * COMMIT_SECONDS
    computes = _cpu_of_line(measured) * measured.chunk_lines * SLOWER_PROCESSOR
    chunks = MILLION / CHUNK_LINES
    chunk_seconds = (waits + computes) * CHUNK_LINES / measured.chunk_lines
    planning = measured.planning.cpu_seconds * MILLION / measured.lines * SLOWER_PROCESSOR
    total = planning + chunks * chunk_seconds / workers
    rate = MILLION / total
    lines_units = sum(
        units for (table, _), units in measured.chunk.units.items() if table.endswith("lines")
    )
    console.print(
        f"A million lines: planning {planning:.0f} s ({measured.planning.cpu_seconds:.2f} s of the "
        f"processor for {measured.lines:,} lines, x {SLOWER_PROCESSOR} for Lambda's). "
        f"{chunks:,.0f} chunks, each {reads} reads x {READ_SECONDS * 1_000:.0f} ms + {commits} "
        f"commits x {COMMIT_SECONDS * 1_000:.0f} ms + {computes:.1f} s of the processor = "
        f"{chunk_seconds:.1f} s. {chunks:,.0f} x {chunk_seconds:.1f} s / {workers} workers + "
        f"{planning:.0f} s = {total:,.0f} s = {total / 60:.1f} minutes, {rate:,.0f} lines/s.\n"
        f"One chunk's lines are one partition of settlement_lines: "
        f"{lines_units / chunk_seconds:,.0f} write units/s of {PARTITION_WRITE_UNITS:,}. All "
        f"tables together take {rate * measured.chunk.requested / measured.chunk_lines:,.0f} write "
        f"units/s. gsi-unsettled gives up one entry a line, {rate:,.0f} a second, where all are of "
        f"one day of a merchant with one index bucket of "
        f"{LEAST_UNSETTLED_BUCKETS * PARTITION_WRITE_UNITS:,}."
    )
