"""Settlement files in our own layout for tests of the engine."""

from __future__ import annotations

from typing import Any

from runtime.reconciliation.files.models import (
    FileStatus,
    SettlementFile,
    merchant_status,
)
from runtime.reconciliation.importers.canonical import HEADER
from tests.support.fakes import START
from tests.support.outside import new_id
from tests.support.reconciliation.engine import AT, SHOP, SettlementEngine

KEY = f"reconciliation/{SHOP}/2026-03-15.csv"
TYPED = (*HEADER, "type")
CHUNK = 10
"""Lines of a chunk in these tests."""


def line(number: int, amount: int = 1000, kind: str = "capture", **cells: Any) -> str:
    values = {
        "payment_id": f"pay_{number}",
        "transaction_id": f"txn_{number}",
        "status": "settled",
        "amount": amount,
        "fee": 0,
        "net": amount,
        "currency": "USD",
        "processed_date": "2026-03-14",
        "settlement_date": "2026-03-15",
        "type": kind,
        **cells,
    }
    return ",".join(str(values[name]) for name in TYPED)


def file_of(lines: list[str], header: tuple[str, ...] = TYPED) -> bytes:
    return "\n".join([",".join(header), *lines, ""]).encode()


def some_file(count: int = 35, *, payout: int | None = None) -> bytes:
    """Captures of 1,000 each, with an unreadable one, a repeated one, quotes, and the payout."""
    lines = [line(n) for n in range(count)]
    lines[3] = "broken"
    lines[CHUNK] = lines[1]
    lines[CHUNK - 1] = (
        lines[CHUNK - 1].replace("pay_9", '"pay_9"').replace("settled", '"set\ntled"')
    )
    paid = 1000 * (count - 1) if payout is None else payout
    lines.append(line(count, -paid, "payout", payment_id="", transaction_id="po_1"))
    return file_of(lines)


def the_file(engine: SettlementEngine) -> SettlementFile:
    (file,) = engine.tables.files.values()
    return file


def announced_upload(
    engine: SettlementEngine, number: int, lines: list[str], sha256: str | None = None
) -> SettlementFile:
    """A file whose row the API has created before."""
    file_id = new_id("fil", START)
    key = f"reconciliation/{SHOP}/{file_id}/2026-03-15.csv"
    row = SettlementFile(
        id=file_id,
        merchant_id=SHOP,
        merchant_status=merchant_status(SHOP, FileStatus.RECEIVED),
        name="2026-03-15.csv",
        key=key,
        status=FileStatus.RECEIVED,
        expected_sha256=sha256,
        created_at=AT,
        updated_at=AT,
        changed_by=f"user {number}",
        request_id="test",
        cause="test",
    )
    engine.tables.files[file_id] = row
    engine.drop(key, file_of(lines))
    return row
