"""The tables of a simulated load."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from benchmarks.capacity import limits
from benchmarks.capacity.assessment import Assessment, Finding, Kind
from benchmarks.capacity.claims import Claim

MOST_ROWS: Final = 16
_FACTOR: Final = 1.5
_BEYOND: Final = 1_000_000
"""Rates above that follow from a few draws of a key among very many, and are not printed."""
_ULID: Final = re.compile(
    r"[0-9A-HJKMNP-TV-Z]{22}(?=[0-9A-HJKMNP-TV-Z]{4}\b|[0-9A-HJKMNP-TV-Z]{4}_)"
)


def print_keys(console: Console, title: str, findings: Sequence[Finding], rate: float) -> None:
    """The hottest partition key of each table and index."""
    table = _table(title, "used", "limit", "utilisation", "breaks at payments/s")
    for each in [each for each in findings if each.kind is Kind.KEY][:MOST_ROWS]:
        table.add_row(*_cells(each, rate))
    console.print(table)


def print_first(console: Console, title: str, made: Assessment, *kinds: Kind) -> None:
    """What breaks first, of these kinds: whatever does not support half as much again."""
    table = _table(title, "used", "limit", "utilisation", "breaks at payments/s")
    for each in made.findings:
        if each.kind in kinds and each.breaks_at(made.rate) <= made.rate * _FACTOR:
            name = f"{shortened(each.name)} ({each.kind})"
            table.add_row(name, *_cells(each, made.rate)[1:])
    console.print(table)


def print_streams(console: Console, made: Assessment) -> None:
    """Each change stream, with as few shards as its table's writes allow."""
    table = _table(
        "Change streams",
        *("records/s", "shards", "batch", "s a batch", "capacity", "shards needed"),
        "s until projected, shard at its write limit",
    )
    for stream in made.streams.values():
        table.add_row(
            stream.table,
            f"{stream.records:,.0f}",
            str(stream.shards),
            f"{stream.batch:.0f}",
            f"{stream.seconds:.2f}",
            f"{stream.capacity:,.0f}",
            str(stream.shards_needed),
            f"{stream.lag:.1f}",
        )
    console.print(table)
    console.print(
        f"  {made.shard_updates:,.0f} updates/s of balance shards; "
        f"{made.load.derived.records['audit_log']:,.0f} audit rows/s; "
        + ", ".join(f"{name} {count:,.0f}" for name, count in made.concurrency.items())
        + " invocations at once"
    )


def print_claims(console: Console, claims: Sequence[Claim]) -> None:
    """Each claimed rate, and whether it holds."""
    table = _table("Claims, per second", "claimed", "supported")
    table.add_column("")
    for each in claims:
        verdict = "holds" if each.holds else "DOES NOT HOLD"
        if each.claimed is None:
            verdict = "not claimed"
        if each.above_quota:
            verdict += f"; default quotas to raise: {len(each.above_quota)}"
        claimed = "" if each.claimed is None else f"{each.claimed:,.0f}"
        beyond = each.supported > _BEYOND
        supported = f"> {_BEYOND:,}" if beyond else f"{each.supported:,.0f}"
        table.add_row(f"{each.what} ({shortened(each.limited_by)})", claimed, supported, verdict)
    console.print(table)


def print_assumptions(console: Console) -> None:
    """The assumed times, in one line."""
    console.print(
        f"Assumed: locks of {limits.LOCK_SECONDS * 1000:.0f} ms, {limits.CALL_SECONDS * 1000:.0f} "
        f"ms a call of DynamoDB, {limits.PROCESSOR_SECONDS * 1000:.0f} ms a card processor, "
        f"{limits.CONFLICTS_TOLERATED:.0%} of attempts may conflict; "
        "see benchmarks/capacity/limits.py."
    )


def _table(title: str, *columns: str) -> Table:
    right = (Column(name, justify="right") for name in columns)
    return Table(Column("", overflow="fold"), *right, box=SIMPLE, title=title, title_justify="left")


def _cells(finding: Finding, rate: float) -> tuple[str, ...]:
    return (
        shortened(finding.name),
        f"{_short(finding.used)} {finding.unit}",
        _short(finding.limit),
        f"{finding.utilisation:.0%}",
        f"{finding.breaks_at(rate):,.0f}",
    )


def shortened(name: str) -> str:
    """A name with only the end of each id."""
    return _ULID.sub("…", name)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
