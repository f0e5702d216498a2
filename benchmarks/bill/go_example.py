"""What a sale uses in the Go example's layout, recorded on its calls."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.bill.counted_stage import PLAIN_SECONDS
from benchmarks.bill.counting import ITEM_OVERHEAD_BYTES
from benchmarks.capacity.go_layout import go_footprint, go_tables
from benchmarks.rivals.sale_baselines import IDEMPOTENCY, KEPT
from runtime.dynamodb.capacity import TableLayout, item_size
from stacks.costs.uses import Operation, Stored, Use

FUNCTION: Final = "process"


def counted_go_sale() -> Operation:
    """Units, calls and bytes of its sale. Its CPU is not known, and counts as nothing."""
    footprint = go_footprint()
    calls = sum(footprint.calls.values())
    use = Use(
        invocations=1.0,
        requests=1.0,
        calls=calls,
        write_units=sum(touch.write_units for touch in footprint.touches),
        read_units=sum(touch.read_units for touch in footprint.touches),
        waited_seconds=calls * PLAIN_SECONDS,
    )
    kept = KEPT.total_seconds() / 86_400
    stored = tuple(
        _stored(name, table, kept if name == IDEMPOTENCY else None)
        for name, table in go_tables().items()
        if table.items
    )
    return Operation(alone={FUNCTION: use}, together={FUNCTION: use}, stored=stored)


def _stored(name: str, table: Any, days: float | None) -> Stored:
    layout: TableLayout = table.layout
    items = list(table.items.values())
    entries = [index.entry(item) for index in layout.indexes for item in items]
    entry_bytes = sum(item_size(e) + ITEM_OVERHEAD_BYTES for e in entries if e is not None)
    item_bytes = sum(item_size(item) + ITEM_OVERHEAD_BYTES for item in items)
    return Stored(table=name, item_bytes=item_bytes, entry_bytes=entry_bytes, days=days)
