"""Exports of payments: rows a second, memory, and whether every row and the digest are right."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.batches.export_worker import Done, Job, export_reads
from benchmarks.bill.meter import Meter
from benchmarks.setting import BenchmarkDependencies, quiet
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import bucket_for
from runtime.functions.composition.real_outside import real_outside
from runtime.merchants.models import MerchantProfile
from runtime.payments.models import Payment, PaymentStatus
from runtime.reporting.exports.models import Export, ExportFormat, ExportStatus
from runtime.reporting.exports.repository import ExportRepository
from runtime.reporting.exports.sources.registry import source_of
from tests.support.engines.engine import Engine
from tests.support.exporting import Exporting
from tests.support.platform import SETUP, Platform

BUCKETS: Final = 8
"""Index buckets of the merchant, which the worker merges."""
PUTS_AT_ONCE: Final = 25
"""Items of one BatchWriteItem."""
WRITERS: Final = 4
MIB: Final = 1024


@dataclass(frozen=True)
class Measured:
    """One export, and whether it matches the payments."""

    rows: int
    megabytes: float
    done: Done
    sums_equal: bool
    digest_right: bool


def run(bench: BenchmarkDependencies) -> None:
    """Measure and print."""
    console, progress, sizes = bench.console, bench.progress, bench.size.export_payments
    with quiet(), bench.table_engine(progress) as engine:
        measured, units = [], 0.0
        for size in sizes:
            platform = Platform(engine)
            with progress.step(f"Put {size:,} payments into {engine.name}"):
                shop, total = _payments(platform, size)
            for format_ in (ExportFormat.CSV, ExportFormat.JSONL):
                with progress.step(f"Export {size:,} payments as {format_}"):
                    measured.append((format_, _measured(engine, platform, shop, format_, total)))
            if size == sizes[0]:
                units = _read_units(platform, shop)
            platform.drop()
    _print(console, measured)
    console.print(
        f"Read units of 1,000 payments: {units:.0f} (rows strongly consistent by their keys, "
        f"{BUCKETS} index buckets merged)."
    )


def _payments(platform: Platform, count: int) -> tuple[MerchantProfile, int]:
    """A merchant with this many payments, and the sum of their amounts."""
    shop = platform.merchant(index_buckets=BUCKETS)
    table, rows = platform.tables["payments"], [_payment(platform, shop, n) for n in range(count)]
    platform.put(rows[0])  # the table is created when first used

    def put(start: int) -> None:
        some = rows[start : start + PUTS_AT_ONCE]
        puts: Any = [{"PutRequest": {"Item": platform.store.codec.to_item(row)}} for row in some]
        while puts:
            answer = platform.client.batch_write_item(RequestItems={table: puts})
            puts = answer["UnprocessedItems"].get(table, [])

    with ThreadPoolExecutor(max_workers=WRITERS) as pool:
        list(pool.map(put, range(0, count, PUTS_AT_ONCE)))
    return shop, sum(row.amount for row in rows)


def _payment(platform: Platform, shop: MerchantProfile, number: int) -> Payment:
    now = platform.clock()
    payment_id = real_outside().new_id("pay", now)
    return Payment(
        id=payment_id,
        merchant_id=shop.id,
        merchant_bucket=bucket_for(shop.id, payment_id, BUCKETS),
        status=PaymentStatus.SUCCEEDED,
        amount=1_000 + number % 9_973,
        amount_captured=1_000 + number % 9_973,
        fee=59,
        currency="USD",
        payment_method="tok_approved",
        processor="sandbox",
        processor_account="sandbox",
        description=f"Order {number}",
        metadata={"order": str(number), "channel": "web"},
        created_at=to_timestamp(now),
        updated_at=to_timestamp(now),
        **SETUP.stamp(),
    )


def _asked(platform: Platform, shop: MerchantProfile, format_: ExportFormat) -> str:
    return Exporting(platform).ask(shop, kind="payments", format=str(format_))


def _measured(
    engine: Engine, platform: Platform, shop: MerchantProfile, format_: ExportFormat, total: int
) -> Measured:
    export_id = _asked(platform, shop, format_)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        file = directory / "job.json"
        job = Job(
            endpoint_url=engine.endpoint_url or "",
            tables=platform.tables,
            export_id=export_id,
            directory=directory,
        )
        file.write_text(job.model_dump_json())
        subprocess.run(
            [sys.executable, "-m", "benchmarks.batches.export_worker", str(file)], check=True
        )
        done = Done.model_validate_json(file.with_suffix(".done").read_text())
        export = ExportRepository(platform.store).get(export_id, UNRESTRICTED)
        assert export is not None  # noqa: S101 - it was just asked for
        assert export.status is ExportStatus.COMPLETED, export  # noqa: S101
        content = (directory / (export.object_key or "").replace("/", "_")).read_bytes()
    return Measured(
        rows=export.rows or 0,
        megabytes=len(content) / MIB**2,
        done=done,
        sums_equal=_told(content, format_) == (export.rows, total),
        digest_right=hashlib.sha256(content).hexdigest() == export.sha256,
    )


def _told(content: bytes, format_: ExportFormat) -> tuple[int, int]:
    """Rows of a file, each counted once, and the sum of their amounts."""
    if format_ is ExportFormat.JSONL:
        rows = [json.loads(line) for line in content.splitlines()]
    else:
        header, *lines = content.decode().splitlines()
        names = header.split(",")
        # Quoted values come after the first columns.
        rows = [dict(zip(names, line.split(","), strict=False)) for line in lines]
    return len({row["id"] for row in rows}), sum(int(row["amount"]) for row in rows)


def _read_units(platform: Platform, shop: MerchantProfile) -> float:
    """Read units of an export's source, per 1,000 rows."""
    repository = ExportRepository(platform.store)
    export: Export | None = repository.get(_asked(platform, shop, ExportFormat.JSONL), UNRESTRICTED)
    assert export is not None  # noqa: S101 - it was just asked for
    client, meter = platform.engine.dynamodb(), Meter(platform.client)
    meter.attach(client)
    reads = export_reads(platform.store_on(client))
    rows = sum(chunk.rows for chunk in source_of(export, (), reads).chunks(None))
    return meter.read_units / rows * 1_000


def _print(console: Console, measured: list[tuple[ExportFormat, Measured]]) -> None:
    table = Table(title="Exports of payments, one worker in a process of its own")
    for name in (
        "payments",
        "format",
        "rows/s",
        "seconds",
        "MB",
        "calls per 1,000",
        "memory before",
        "memory at most",
        "count and sum",
        "SHA-256",
    ):
        table.add_column(name, justify="right")
    for format_, each in measured:
        table.add_row(
            f"{each.rows:,}",
            str(format_),
            f"{each.rows / each.done.seconds:,.0f}",
            f"{each.done.seconds:.1f}",
            f"{each.megabytes:.1f}",
            f"{1_000 * each.done.round_trips / each.rows:.1f}",
            f"{each.done.before_kb / MIB:.0f} MB",
            f"{each.done.peak_kb / MIB:.0f} MB",
            "equal" if each.sums_equal else "WRONG",
            "right" if each.digest_right else "WRONG",
        )
    console.print(table)
