"""Settlements and lines as left by a file, written without the engine."""

from __future__ import annotations

from typing import Any

from runtime.merchants.models import MerchantProfile
from runtime.reconciliation.settlements.line_keys import (
    exception_bucket,
    exception_key,
    line_bucket,
    line_partition,
)
from runtime.reconciliation.settlements.models import (
    NO_EXCEPTION,
    LineStatus,
    LineType,
    Settlement,
    SettlementLine,
    SettlementStatus,
)
from tests.support.platform import SETUP, Platform

_AT = "2026-01-01T00:00:00.000Z"


def settlement_of(merchant: MerchantProfile, name: str, day: str, **changes: Any) -> Settlement:
    """A settlement without lines."""
    values: dict[str, Any] = {
        "id": f"set_{name}",
        "merchant_id": merchant.id,
        "date": day,
        "status": SettlementStatus.COMPLETED,
        "source": f"reconciliation/{merchant.id}/{name}.csv",
        "sha256": "",
        "created_at": _AT,
        "updated_at": _AT,
        **SETUP.stamp(),
        **changes,
    }
    return Settlement(**values)


def line_of(
    merchant: MerchantProfile,
    settlement: Settlement,
    line: int,
    status: LineStatus,
    **changes: Any,
) -> SettlementLine:
    """A capture line; an exception is open unless it has a resolution."""
    values: dict[str, Any] = {
        "settlement_bucket": line_partition(settlement.id, line),
        "line": line,
        "settlement_id": settlement.id,
        "merchant_id": merchant.id,
        "status": status,
        "type": LineType.CAPTURE,
        "file_line": line,
        "amount": 1000,
        "fee": 59,
        "net": 941,
        "currency": "USD",
        "created_at": _AT,
        "updated_at": _AT,
        **SETUP.stamp(),
        **changes,
    }
    if status not in NO_EXCEPTION and values.get("resolution") is None:
        buckets = merchant.index_buckets
        values["exception_bucket"] = exception_bucket(merchant.id, settlement.id, line, buckets)
        values["exception_key"] = exception_key(status, settlement.date, settlement.id, line)
    return SettlementLine(**values)


def put_lines(platform: Platform, settlement: Settlement, *lines: SettlementLine) -> Settlement:
    """Write a settlement with its lines and their counts; returns the settlement."""
    counts: dict[LineStatus, int] = {}
    for line in lines:
        counts[line.status] = counts.get(line.status, 0) + 1
        platform.put(line)
    opened = sum(line.exception_key is not None for line in lines)
    status = SettlementStatus.COMPLETED_WITH_EXCEPTIONS if opened else SettlementStatus.COMPLETED
    counted = settlement.model_copy(
        update={
            "counts": counts,
            "open_exceptions": opened,
            "status": status,
            "line_buckets": tuple(sorted({line_bucket(line.line) for line in lines})),
            "lines_done": len(lines),
        }
    )
    platform.put(counted)
    return counted
