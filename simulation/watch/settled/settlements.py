"""Settlements at rest: their counts and sums are those of their lines, and each line is booked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.transfers import legs_of, net_of
from simulation.watch.values import Item, maps, number, plain_item, text

Sums = dict[str, Counter[str]]
"""amount, fee, net and count, by currency."""
_CONTROL_TOTALS: Final = ("matched", "amount_mismatch")
"""Statuses of payout lines that say what was paid out."""
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
    for sums, wanted in _sums_of(lines).items():
        found = _not_zero(stored.get(sums, {}))
        if found != _not_zero(wanted):
            yield f"{name}: {sums} are {found}, its lines add up to {_not_zero(wanted)}"
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


def _sums_of(lines: Iterable[Item]) -> dict[str, dict[str, Any]]:
    """What a settlement says of its lines: sums of those whose amounts are not another's."""
    totals: Sums = {}
    by_type: dict[str, Sums] = {}
    payout: dict[str, int] = {}
    for line in lines:
        kind, status, currency = (text(line, name) for name in ("type", "status", "currency"))
        if not currency or status == "superseded":
            continue
        amounts = Counter({name: number(line, name) for name in ("amount", "fee", "net")})
        mine = by_type.setdefault(kind or "unclassified", {}).setdefault(currency, Counter())
        mine.update({**amounts, "count": 1})
        if kind == "capture" and status == "matched":
            totals.setdefault(currency, Counter()).update(amounts)
        if kind == "payout" and status in _CONTROL_TOTALS:
            payout[currency] = payout.get(currency, 0) - amounts["net"]
    remainder = {
        currency: paid - sum(sums[currency]["net"] for sums in _others(by_type, currency))
        for currency, paid in payout.items()
    }
    return {"totals": totals, "by_type": by_type, "payout": payout, "remainder": remainder}


def _others(by_type: Mapping[str, Sums], currency: str) -> Iterator[Sums]:
    """The sums of lines that are not payouts themselves, where there are any in a currency."""
    return (sums for kind, sums in by_type.items() if kind != "payout" and currency in sums)


def _not_zero(value: Any) -> Any:
    """Sums without those that came to nothing, which may be left out or not."""
    if not isinstance(value, Mapping):
        return value
    members = {name: _not_zero(member) for name, member in value.items()}
    return {name: member for name, member in members.items() if member}


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
