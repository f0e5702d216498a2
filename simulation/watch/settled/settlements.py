"""Settlements at rest: their counts and sums are those of their lines, and each line is booked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.transfers import legs_of, net_of
from simulation.watch.values import Item, maps, number, plain_item, text

_NO_EXCEPTION: Final = ("matched", "expected", "superseded")
_ROUTES: Final = {
    "net": ("receivable", "clearing"),
    "fee": ("fees", "clearing"),
    "cost": ("receivable", "fees"),
    "adjusted": ("clearing", "receivable"),
    "written_off": ("clearing", "writeoff"),
    "written_off_fee": ("writeoff", "fees"),
}
"""From which account to which each flow of a line runs when it is positive (the chart)."""


def settlement_faults(rows: Rows) -> Faults:
    """What is wrong with settlements, their lines, their postings and their files."""
    lines: dict[str, list[Item]] = defaultdict(list)
    for item in rows.of("settlement_lines"):
        lines[text(item, "settlement_id")].append(item)
    for name, item in sorted(rows.by_id("settlements").items()):
        yield from _settlement_faults(name, item, lines.pop(name, []))
    for name in sorted(lines):
        yield f"{name} has lines, and does not exist"
    yield from _posting_faults(rows)
    yield from _file_faults(rows)


def _settlement_faults(name: str, item: Item, lines: list[Item]) -> Faults:
    stored: dict[str, Any] = plain_item(item)
    counted = Counter(text(line, "status") for line in lines)
    kept = {status: count for status, count in stored.get("counts", {}).items() if count}
    if kept != dict(counted):
        yield f"{name} counts {kept}, and has {dict(counted)}"
    waiting = sum(
        text(line, "status") not in _NO_EXCEPTION and "resolution" not in line for line in lines
    )
    if number(item, "open_exceptions") != waiting:
        yield f"{name} has {number(item, 'open_exceptions')} open exceptions, {waiting} lines wait"
    status = text(item, "status")
    if status in ("completed", "completed_with_exceptions") and (status == "completed") == bool(
        waiting
    ):
        yield f"{name} is {status} with {waiting} open exceptions"


def _posting_faults(rows: Rows) -> Faults:
    """The transfers of settlements are exactly what their lines say that they book."""
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    for line in rows.of("settlement_lines"):
        for booking in maps(line, "bookings"):
            mine = wanted[text(booking, "transfer_id")]
            flows: Mapping[str, Any] = booking["flows"]["M"]
            _add_flows(mine, flows, text(booking, "currency"), text(line, "merchant_id"))
    for name, item in sorted(rows.by_id("transfers").items()):
        if not text(item, "settlement_id"):
            continue
        net = {account: amount for account, amount in net_of(legs_of(item)).items() if amount}
        lines = {account: amount for account, amount in wanted.pop(name, {}).items() if amount}
        if net != lines:
            yield f"{name} of {text(item, 'settlement_id')} moves {net}, its lines say {lines}"
    for name in sorted(wanted):
        if any(wanted[name].values()):
            yield f"lines are booked by {name}, which does not exist"


def _add_flows(sums: Counter[str], flows: Item, currency: str, merchant_id: str) -> None:
    accounts = {
        "receivable": f"acc_receivable_{merchant_id}_{currency}",
        "clearing": f"acc_clearing_{currency}",
        "fees": f"acc_fees_{currency}",
        "writeoff": f"acc_writeoff_{currency}",
    }
    for flow, (source, target) in _ROUTES.items():
        amount = number(flows, flow)
        sums[accounts[source]] -= amount
        sums[accounts[target]] += amount


def _file_faults(rows: Rows) -> Faults:
    """A file that was read to its end has as many lines as its chunks have worked."""
    done: Counter[str] = Counter()
    for item in rows.of("settlement_chunks"):
        if "file_id" in item:
            done[text(item, "file_id")] += number(item, "lines_done")
    for name, item in sorted(rows.by_id("settlement_files").items()):
        if text(item, "status").startswith("completed") and done[name] != number(item, "lines"):
            yield f"{name} is {text(item, 'status')} with {done[name]} of {number(item, 'lines')}"
